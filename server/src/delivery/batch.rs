//! Many objects of one list in one answer: the stored bytes of the index entries or segments asked for, one behind the other.
//!
//! Sizes come from the list, and every object's presence and length are checked before the first byte. A disk that fails
//! later breaks the connection. Objects in packs are found in memory and stay open; those with files of their own are opened one
//! at a time when it is their turn.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use image_format::store::StoreError;

use super::path::Batch;
use super::ranges::{BATCH_BYTES_MAX, parse};
use crate::app::App;
use crate::content::lists::Listed;
use crate::extents::{Extents, Parts};
use crate::http::pieces::Pieces;
use crate::http::route::get;
use crate::http::{Error, Named};

/// `/batch/LIST/RANGES`.
pub(super) fn router() -> Router<Arc<App>> {
    // One parameter: a batch of no ranges is malformed, not unknown.
    Router::new().route("/batch/{*batch}", get("batch", batch))
}

async fn batch(State(app): State<Arc<App>>, Named(batch): Named<Batch>) -> Result<Response, Error> {
    let kind = app.content.published().list_kind(&batch.list);
    let kind = kind.ok_or_else(|| Error::NotFound("not a list of a published image".into()))?;
    let parts = match app.content.lists().peek(batch.list) {
        Some(list) => {
            let wanted = select(&list, &batch.ranges)?;
            match known(&app, &wanted) {
                Some(parts) => parts,
                None => app.blocking(move |app| look_for(app, wanted)).await?,
            }
        }
        None => {
            let work = move |app: &App| {
                let list = app.content.lists().get(app.content.store(), batch.list, kind);
                look_for(app, select(&list.map_err(Error::internal)?, &batch.ranges)?)
            };
            app.blocking(work).await?
        }
    };
    let length = parts.length();
    let body = Body::new(Pieces::new(Extents::of(parts, app.content.store().clone()), length));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ACCEPT_RANGES, "none"),
    ];
    Ok((headers, body).into_response())
}

/// The objects behind the ranges, in order, without those that are not stored.
fn select(list: &[Listed], ranges: &str) -> Result<Vec<Listed>, Error> {
    let count = u32::try_from(list.len()).map_err(Error::internal)?;
    let ranges = parse(ranges, count).map_err(|error| Error::BadRequest(error.to_string()))?;
    let mut total = 0;
    let mut objects = Vec::new();
    for listed in ranges.into_iter().flatten().filter_map(|number| list.get(number as usize)) {
        total += u64::from(listed.length);
        if total > BATCH_BYTES_MAX {
            return Err(Error::BadRequest(format!("more than {BATCH_BYTES_MAX} bytes in one batch")));
        }
        if listed.length > 0 {
            objects.push(*listed);
        }
    }
    Ok(objects)
}

/// The objects, if all of them are known to lie in packs, in their right lengths.
fn known(app: &App, wanted: &[Listed]) -> Option<Parts> {
    let mut parts = Parts::default();
    for listed in wanted {
        let extent = app.content.store().peek(listed.object)?;
        if extent.len != u64::from(listed.length) {
            return None;
        }
        parts.open(extent);
    }
    Some(parts)
}

/// The same with everything that is in the store. Blocks.
fn look_for(app: &App, wanted: Vec<Listed>) -> Result<Parts, Error> {
    let store = app.content.store();
    let mut parts = Parts::default();
    for Listed { object, length } in wanted {
        let expected = u64::from(length);
        if let Some(extent) = store.peek(object).filter(|extent| extent.len == expected) {
            parts.open(extent);
            continue;
        }
        let size = match store.size(object) {
            Err(StoreError::NotAFile { .. }) => None,
            size => size.map_err(Error::internal)?,
        };
        match size {
            None => return Err(Error::NotFound(format!("object {object} of this batch"))),
            Some(found) if found != expected => {
                return Err(Error::internal(format!(
                    "object {object}: expected {expected} bytes, found {found}"
                )));
            }
            Some(_) => parts.named(object, expected),
        }
    }
    Ok(parts)
}
