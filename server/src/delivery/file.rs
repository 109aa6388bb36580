//! Single files: objects, metadata, targets.
//!
//! Everything but `timestamp.json` is immutable under its name, so the name is its ETag and caches keep it for ever.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use image_format::ObjectId;

use crate::app::App;
use crate::files::{FilePieces, Opened};
use crate::http::body::full;
use crate::http::pieces::{self, Source};
use crate::http::{Answer, Error};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// An object.
pub(super) async fn object(app: &Arc<App>, headers: &HeaderMap, id: ObjectId) -> Result<Answer, Error> {
    let opened =
        open(app, id.object_path()).await?.ok_or_else(|| Error::NotFound("no such object".into()))?;
    immutable(headers, &id.to_string(), "application/octet-stream", opened)
}

/// A metadata file.
pub(super) async fn metadata(app: &Arc<App>, headers: &HeaderMap, name: &str) -> Result<Answer, Error> {
    let missing = || Error::NotFound("no such metadata".into());
    if !app.content.published().may_show(name) {
        return Err(missing());
    }
    let opened = open(app, format!("tuf/metadata/{name}")).await?.ok_or_else(missing)?;
    if name != "timestamp.json" {
        return immutable(headers, name, "application/json", opened);
    }
    let bytes = app.blocking(move |_| read_small(opened)).await?;
    let tag = blake3::hash(&bytes).to_hex();
    let tag = tag_of(&tag)?;
    if matches(headers, &tag) {
        return Ok(not_modified(tag, NO_CACHE));
    }
    let length = bytes.len() as u64;
    Ok(with_cache(Answer::new(StatusCode::OK, "application/json", full(bytes)), tag, NO_CACHE).length(length))
}

/// A target file.
pub(super) async fn target(app: &Arc<App>, headers: &HeaderMap, name: &str) -> Result<Answer, Error> {
    let opened = open(app, format!("tuf/targets/{name}")).await?;
    let opened = opened.ok_or_else(|| Error::NotFound("no such target".into()))?;
    immutable(headers, name, "application/json", opened)
}

async fn open(app: &Arc<App>, path: String) -> Result<Option<Opened>, Error> {
    app.blocking(move |app| app.content.files().open(&path).map_err(Error::internal)).await
}

/// A timestamp is at most 16 KiB: one piece.
fn read_small(opened: Opened) -> Result<Bytes, Error> {
    let size = opened.size;
    let bytes =
        if size == 0 { Bytes::new() } else { FilePieces::from(opened).read().map_err(Error::internal)? };
    let whole = bytes.len() as u64 == size;
    if whole {
        Ok(bytes)
    } else {
        Err(Error::internal(format!("timestamp.json: read {} of {size} bytes", bytes.len())))
    }
}

fn immutable(
    headers: &HeaderMap,
    name: &str,
    content_type: &'static str,
    opened: Opened,
) -> Result<Answer, Error> {
    let tag = tag_of(name)?;
    if matches(headers, &tag) {
        return Ok(not_modified(tag, IMMUTABLE));
    }
    let size = opened.size;
    let body = pieces::body(FilePieces::from(opened), size);
    Ok(with_cache(Answer::new(StatusCode::OK, content_type, body), tag, IMMUTABLE).length(size))
}

fn tag_of(name: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(&format!("\"{name}\"")).map_err(Error::internal)
}

fn with_cache(answer: Answer, tag: HeaderValue, cache: HeaderValue) -> Answer {
    let answer = answer.with(header::ETAG, tag).with(header::CACHE_CONTROL, cache);
    answer.with(header::ACCEPT_RANGES, HeaderValue::from_static("none"))
}

fn not_modified(tag: HeaderValue, cache: HeaderValue) -> Answer {
    with_cache(Answer::bare(StatusCode::NOT_MODIFIED), tag, cache)
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
