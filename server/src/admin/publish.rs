//! Signed metadata from an admin: what is there, and the commit that changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router};
use fleet_protocol::Commit;
use fleet_protocol::publish::{COMMIT_MAX, Names, RoleFile};
use image_format::repository::{CommitError, Committed, Repository, Upload, View};
use serde_json::Value;

use super::auth::Authorized;
use crate::app::App;
use crate::http::Error;
use crate::http::error::Chain;
use crate::http::request_body::Declared;
use crate::http::route::{get, post};

/// Names and commits.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/metadata", get("names", names)).route("/v1/commit", post("commit", commit))
}

async fn names(State(app): State<Arc<App>>, _: Authorized) -> Result<Json<Names>, Error> {
    app.blocking(|app| {
        let repository = Repository::open(app.content.store());
        let metadata = repository.metadata_names().map_err(Error::internal)?;
        let targets = repository.target_names().map_err(Error::internal)?;
        app.content.reload_if_changed();
        let published = app.content.published();
        let current = published.view.as_ref().map(|view| current(view)).unwrap_or_default();
        Ok(Json(Names { metadata, targets, online: app.online.is_on(), current }))
    })
    .await
}

/// What counts now, by role.
fn current(view: &View) -> BTreeMap<String, RoleFile> {
    let files = view.versions.iter().filter_map(|(role, version)| {
        let file = RoleFile { version: *version, sha256: *view.digests.get(role)? };
        Some((role.clone(), file))
    });
    files.collect()
}

async fn commit(
    State(app): State<Arc<App>>,
    _: Authorized,
    body: Declared<COMMIT_MAX>,
) -> Result<Json<Value>, Error> {
    let _place = app.upload_place()?;
    let bytes = body.whole().await?;
    app.blocking(move |app| {
        let commit: Commit =
            serde_json::from_slice(&bytes).map_err(|error| Error::BadRequest(error.to_string()))?;
        drop(bytes);
        let as_bytes = |(name, text): (String, String)| (name, text.into_bytes());
        let upload = Upload {
            metadata: commit.metadata.into_iter().map(as_bytes).collect(),
            targets: commit.targets.into_iter().map(as_bytes).collect(),
            base: commit.base,
        };
        let committed = app.online.commit(&app.content, upload, &app.metrics).map_err(commit_error)?;
        let Committed { changed, images, pins } = &committed;
        tracing::info!(changed, ?images, ?pins, "published");
        Ok(Json(serde_json::json!({ "changed": changed, "images": images, "pins": pins })))
    })
    .await
}

fn commit_error(error: CommitError) -> Error {
    let text = Chain(&error).to_string();
    match &error {
        CommitError::TooLarge { max, found, .. } => Error::TooLarge { max: *max, found: *found },
        CommitError::Online(fault) if !fault.is_not_listed() => match Error::internal(error) {
            // An admin can mend it, and is told; it holds nothing of a key.
            Error::Internal(_) => Error::NotSigned(text),
            full => full,
        },
        _ if error.is_internal() => Error::internal(error),
        _ if error.is_conflict() => Error::Conflict(text),
        _ => Error::Invalid(text),
    }
}
