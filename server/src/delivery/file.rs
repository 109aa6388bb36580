//! Single files: objects, metadata, targets.
//!
//! Everything but `timestamp.json` is immutable under its name, so the name is its ETag and caches keep it for ever.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use image_format::ObjectId;
use image_format::store::{ObjectExtent, Store, StoreError};

use super::path::{MetadataName, TargetName};
use crate::app::App;
use crate::extents::Extents;
use crate::files::Opened;
use crate::http::pieces::Pieces;
use crate::http::route::{Word, get};
use crate::http::{Error, Named};

/// Largest timestamp, in bytes.
const TIMESTAMP_MAX: usize = 128 << 10;
/// What the paths of objects begin with.
const OBJECTS: &str = "/objects/";
pub(super) const OCTETS: &str = "application/octet-stream";
pub(super) const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
pub(super) const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Objects, metadata, targets.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/objects/{id}", get(Word::OBJECT.text(), object))
        .route("/metadata/{name}", get("metadata", metadata))
        .route("/targets/{*name}", get("target", target))
}

async fn object(
    State(app): State<Arc<App>>,
    Named(id): Named<ObjectId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let object = match app.content.store().peek(id) {
        Some(known) => Some(known),
        None => app.blocking(move |app| open_object(app.content.store(), id)).await?,
    };
    let object = object.ok_or_else(|| Error::NotFound("no such object".into()))?;
    immutable(&headers, &id.to_string(), OCTETS, object.len, object.into())
}

/// The answer to a GET of `path` if that is an object whose place is known: the same as by the route.
pub(super) fn known_object(app: &App, path: &str, headers: &HeaderMap) -> Option<Response> {
    // An id has one spelling: the name is its text.
    let name = path.strip_prefix(OBJECTS)?;
    let id: ObjectId = name.parse().ok()?;
    let object = app.content.store().peek(id)?;
    let mut response = immutable(headers, name, OCTETS, object.len, object.into()).into_response();
    response.extensions_mut().insert(Word::OBJECT);
    Some(response)
}

/// Something else than a regular file in an object's place is "not there".
fn open_object(store: &Store, id: ObjectId) -> Result<Option<ObjectExtent>, Error> {
    match store.open_object(id) {
        Err(StoreError::NotAFile { .. }) => Ok(None),
        opened => opened.map_err(Error::internal),
    }
}

async fn metadata(
    State(app): State<Arc<App>>,
    Named(MetadataName(name)): Named<MetadataName>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let missing = || Error::NotFound("no such metadata".into());
    if !app.content.published().may_show(&name) {
        return Err(missing());
    }
    let opened = open(&app, format!("tuf/metadata/{name}")).await?.ok_or_else(missing)?;
    if name != "timestamp.json" {
        return immutable(&headers, &name, "application/json", opened.size, opened.into());
    }
    let bytes = app.blocking(move |_| read_small(&opened)).await?;
    let tag = tag_of(&blake3::hash(&bytes).to_hex())?;
    if matches(&headers, &tag) {
        return Ok(not_modified(tag, NO_CACHE));
    }
    Ok((cached(tag, NO_CACHE), [(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

async fn target(
    State(app): State<Arc<App>>,
    Named(TargetName(name)): Named<TargetName>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let opened = open(&app, format!("tuf/targets/{name}")).await?;
    let opened = opened.ok_or_else(|| Error::NotFound("no such target".into()))?;
    immutable(&headers, &name, "application/json", opened.size, opened.into())
}

pub(super) async fn open(app: &Arc<App>, path: String) -> Result<Option<Opened>, Error> {
    app.blocking(move |app| app.content.files().open(&path).map_err(Error::internal)).await
}

fn read_small(opened: &Opened) -> Result<Bytes, Error> {
    let size = usize::try_from(opened.size).ok().filter(|size| *size <= TIMESTAMP_MAX);
    let too_large = || {
        Error::internal(format!(
            "timestamp.json: expected at most {TIMESTAMP_MAX} bytes, found {}",
            opened.size
        ))
    };
    let mut bytes = vec![0; size.ok_or_else(too_large)?];
    opened.file.read_exact_at(&mut bytes, 0).map_err(Error::internal)?;
    Ok(bytes.into())
}

fn immutable(
    headers: &HeaderMap,
    name: &str,
    content_type: &'static str,
    size: u64,
    content: Extents,
) -> Result<Response, Error> {
    let tag = tag_of(name)?;
    if matches(headers, &tag) {
        return Ok(not_modified(tag, IMMUTABLE));
    }
    let body = Body::new(Pieces::new(content, size));
    Ok((cached(tag, IMMUTABLE), [(header::CONTENT_TYPE, content_type)], body).into_response())
}

fn tag_of(name: &str) -> Result<HeaderValue, Error> {
    // Without a formatter: this is done for every object.
    let mut tag = BytesMut::with_capacity(name.len() + 2);
    tag.extend_from_slice(b"\"");
    tag.extend_from_slice(name.as_bytes());
    tag.extend_from_slice(b"\"");
    HeaderValue::from_maybe_shared(tag.freeze()).map_err(Error::internal)
}

fn cached(tag: HeaderValue, cache: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    let no_ranges = HeaderValue::from_static("none");
    [(header::ETAG, tag), (header::CACHE_CONTROL, cache), (header::ACCEPT_RANGES, no_ranges)]
}

fn not_modified(tag: HeaderValue, cache: HeaderValue) -> Response {
    (StatusCode::NOT_MODIFIED, cached(tag, cache)).into_response()
}

/// Whether If-None-Match names `tag` (RFC 9110, 13.1.2: weak comparison, a list, or `*`).
fn matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let listed = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','));
    listed
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_is_a_list() {
        let tag = HeaderValue::from_static("\"a\"");
        for (sent, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let headers: HeaderMap =
                [(header::IF_NONE_MATCH, HeaderValue::from_static(sent))].into_iter().collect();
            assert_eq!(matches(&headers, &tag), expected, "{sent}");
        }
        assert!(!matches(&HeaderMap::new(), &tag));
    }
}
