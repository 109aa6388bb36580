//! Signed metadata from an admin: what is there, and the commit that changes it.

use std::sync::Arc;

use fleet_protocol::Commit;
use fleet_protocol::publish::{COMMIT_MAX, Names};
use hyper::HeaderMap;
use hyper::body::Incoming;
use image_format::repository::{CommitError, Committed, Repository, Upload};

use crate::app::{App, now};
use crate::http::error::Chain;
use crate::http::request_body::{declared_length, whole};
use crate::http::{Answer, Error};

/// `GET /v1/metadata`.
pub(super) async fn names(app: &Arc<App>) -> Result<Answer, Error> {
    app.blocking(|app| {
        let repository = Repository::open(app.content.store());
        let metadata = repository.metadata_names().map_err(Error::internal)?;
        Answer::json(&Names { metadata, targets: repository.target_names().map_err(Error::internal)? })
    })
    .await
}

/// `POST /v1/commit`.
pub(super) async fn commit(
    app: &Arc<App>,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Error> {
    declared_length(headers, COMMIT_MAX)?;
    let _place = app.uploads.try_acquire().map_err(|_| Error::Busy("too many uploads at once".into()))?;
    let bytes = whole(headers, body, COMMIT_MAX).await?;
    app.blocking(move |app| {
        let commit: Commit =
            serde_json::from_slice(&bytes).map_err(|error| Error::BadRequest(error.to_string()))?;
        drop(bytes);
        let as_bytes = |(name, text): (String, String)| (name, text.into_bytes());
        let upload = Upload {
            metadata: commit.metadata.into_iter().map(as_bytes).collect(),
            targets: commit.targets.into_iter().map(as_bytes).collect(),
        };
        let committed = app.content.commit(upload, now()).map_err(commit_error)?;
        let Committed { changed, images, pins } = &committed;
        tracing::info!(changed, ?images, ?pins, "published");
        Answer::json(&serde_json::json!({ "changed": changed, "images": images, "pins": pins }))
    })
    .await
}

fn commit_error(error: CommitError) -> Error {
    let text = Chain(&error).to_string();
    match &error {
        CommitError::TooLarge { max, found, .. } => Error::TooLarge { max: *max, found: *found },
        _ if error.is_internal() => Error::internal(error),
        _ if error.is_conflict() => Error::Conflict(text),
        _ => Error::Invalid(text),
    }
}
