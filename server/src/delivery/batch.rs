//! Many objects of one index in one answer: the stored bytes of the entries asked for, one behind the other.
//!
//! Sizes come from the index, and every object's presence and length are checked before the first byte. A disk that fails
//! later breaks the connection.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use image_format::ObjectId;
use image_format::store::{Store, StoreError};

use super::path::Batch;
use super::ranges::{BATCH_BYTES_MAX, parse};
use crate::app::App;
use crate::files::FilePieces;
use crate::http::pieces::{PIECE, Pieces, Source};
use crate::http::route::get;
use crate::http::{Error, Named};

/// `/batch/INDEX/RANGES`.
pub(super) fn router() -> Router<Arc<App>> {
    // One parameter: a batch of no ranges is malformed, not unknown.
    Router::new().route("/batch/{*batch}", get("batch", batch))
}

async fn batch(
    State(app): State<Arc<App>>,
    Named(Batch { index, ranges }): Named<Batch>,
) -> Result<Response, Error> {
    if !app.content.published().is_index(&index) {
        return Err(Error::NotFound("not the index of a published image".into()));
    }
    let objects = app.blocking(move |app| select(app, index, &ranges)).await?;
    let length = objects.iter().map(|(_, length)| u64::from(*length)).sum();
    let source = Objects { store: app.content.store().clone(), rest: objects.into(), current: None };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ACCEPT_RANGES, "none"),
    ];
    Ok((headers, Body::new(Pieces::new(source, length))).into_response())
}

/// The objects behind the ranges, in order, all of them there in their right length.
fn select(app: &App, id: ObjectId, ranges: &str) -> Result<Vec<(ObjectId, u32)>, Error> {
    let index = app.content.indexes().get(app.content.store(), id).map_err(Error::internal)?;
    let entries = index.entries();
    let count = u32::try_from(entries.len()).map_err(Error::internal)?;
    let ranges = parse(ranges, count).map_err(|error| Error::BadRequest(error.to_string()))?;
    let mut total = 0;
    let mut objects = Vec::new();
    for entry in ranges.into_iter().flatten().filter_map(|number| entries.get(number as usize)) {
        total += u64::from(entry.stored_len);
        if total > BATCH_BYTES_MAX {
            return Err(Error::BadRequest(format!("more than {BATCH_BYTES_MAX} bytes in one batch")));
        }
        if !entry.is_zero() {
            objects.push((entry.object, entry.stored_len));
        }
    }
    for (object, expected) in &objects {
        let size = match app.content.store().size(*object) {
            Err(StoreError::NotAFile { .. }) => None,
            size => size.map_err(Error::internal)?,
        };
        match size {
            None => return Err(Error::NotFound(format!("object {object} of this batch"))),
            Some(found) if found != u64::from(*expected) => {
                return Err(Error::internal(format!(
                    "object {object}: expected {expected} bytes, found {found}"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(objects)
}

/// Reads objects one behind the other.
struct Objects {
    store: Store,
    rest: VecDeque<(ObjectId, u32)>,
    current: Option<(FilePieces, u64)>,
}

impl Source for Objects {
    /// Small objects are put together into one piece: one blocking call for many.
    fn read(&mut self) -> io::Result<Bytes> {
        let mut piece = BytesMut::new();
        while piece.len() < PIECE {
            let Some((file, left)) = &mut self.current else {
                let Some((id, length)) = self.rest.pop_front() else { break };
                let opened = self.store.open_object(id).map_err(io::Error::other)?;
                let opened = opened.filter(|object| object.len == u64::from(length));
                let changed =
                    || io::Error::new(io::ErrorKind::UnexpectedEof, format!("object {id} has changed"));
                self.current = Some((opened.ok_or_else(changed)?.into(), u64::from(length)));
                continue;
            };
            let read = file.read()?;
            if read.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an object has become shorter"));
            }
            *left -= (read.len() as u64).min(*left);
            piece.extend_from_slice(&read);
            if *left == 0 {
                self.current = None;
            }
        }
        Ok(piece.freeze())
    }
}
