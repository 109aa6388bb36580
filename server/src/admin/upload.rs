//! Objects from an admin: what is missing, and packs of them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Json, Router};
use fleet_protocol::publish::{MISSING_MAX, Missing, MissingAnswer, PACK_MAX, Stored};
use image_format::store::StoreError;

use super::auth::Authorized;
use super::channel::{BodyReader, channel};
use super::pack::{Pack, PackError};
use crate::app::App;
use crate::http::Error;
use crate::http::request_body::{Declared, in_time};
use crate::http::route::{post, put};

/// Largest question about missing objects, in bytes: the ids with their quotes and commas, and white space.
const MISSING_BODY_MAX: u64 = MISSING_MAX as u64 * 80;

/// How long everything stays that somebody who publishes over the network relies on, since he was last heard of.
const LEASE: Duration = Duration::from_secs(15 * 60);

/// Questions about objects, and packs.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/objects/missing", post("missing", missing))
        .route("/v1/objects", put("pack", pack))
}

async fn missing(
    State(app): State<Arc<App>>,
    _: Authorized,
    body: Declared<MISSING_BODY_MAX>,
) -> Result<Json<MissingAnswer>, Error> {
    let bytes = body.whole().await?;
    let question: Missing =
        serde_json::from_slice(&bytes).map_err(|error| Error::BadRequest(error.to_string()))?;
    if question.ids.len() > MISSING_MAX {
        return Err(Error::BadRequest(format!(
            "expected at most {MISSING_MAX} ids, found {}",
            question.ids.len()
        )));
    }
    app.blocking(move |app| {
        // Who is told that something is there relies on it.
        app.content.store().lease_remote(LEASE).map_err(store_error)?;
        let missing = app.content.store().missing(question.ids).map_err(store_error)?;
        Ok(Json(MissingAnswer { missing }))
    })
    .await
}

async fn pack(
    State(app): State<Arc<App>>,
    _: Authorized,
    mut body: Declared<PACK_MAX>,
) -> Result<Json<Stored>, Error> {
    let _place = app.upload_place()?;
    let (feed, reader) = channel();
    let storing = app.blocking(|app| store(app, reader));
    let feeding = in_time(body.length, feed.all(&mut body.body, body.length));
    let (fed, stored) = tokio::join!(feeding, storing);
    // When the body broke off, that is the cause; what the reader saw of it is the consequence.
    fed?;
    let stored = stored?;
    app.content.stored(stored.stored);
    Ok(Json(stored))
}

/// All objects of a pack or none. Blocks.
fn store(app: &App, reader: BodyReader) -> Result<Stored, Error> {
    app.content.store().lease_remote(LEASE).map_err(store_error)?;
    let mut pack = Pack::new(reader);
    let mut batch = app.content.store().batch().map_err(store_error)?;
    while let Some((id, bytes)) = pack.next_object().map_err(pack_error)? {
        batch.put_expected(id, &bytes).map_err(store_error)?;
    }
    let counts = batch.commit().map_err(store_error)?;
    Ok(Stored { stored: counts.stored, present: counts.present })
}

fn pack_error(error: PackError) -> Error {
    match error {
        PackError::Read(source) => Error::BadRequest(format!("pack: {source}")),
        error => Error::Invalid(error.to_string()),
    }
}

fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::Digest { .. } => Error::Invalid(error.to_string()),
        error => Error::internal(error),
    }
}
