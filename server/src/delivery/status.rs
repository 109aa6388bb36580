//! `/readyz` and `/metrics`.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use crate::app::{App, now};
use crate::http::{Answer, Error};
use crate::metrics::Snapshot;

/// 200 `ok`, or 503 with one reason a line.
pub(super) async fn ready(app: &Arc<App>) -> Result<Answer, Error> {
    let problems = app.blocking(|app| Ok(app.ready.problems(&app.content, now()))).await?;
    if problems.is_empty() {
        let published = app.content.published().view.is_some();
        return Ok(Answer::text(if published { "ok\n" } else { "ok; nothing is published yet\n" }));
    }
    let mut answer = Answer::text(format!("{}\n", problems.join("\n")));
    *answer.response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer.reason = Some(problems.join("; "));
    Ok(answer)
}

/// The text for Prometheus.
pub(super) fn metrics(app: &Arc<App>) -> Result<Answer, Error> {
    let snapshot = Snapshot {
        objects: app.content.objects(),
        nodes: app.inventory.by_health(),
        expires_in: app.content.published().expires_in(now()),
    };
    let text = app.metrics.text(&snapshot).map_err(Error::internal)?;
    let open_metrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(Answer::text(text).with(header::CONTENT_TYPE, open_metrics))
}
