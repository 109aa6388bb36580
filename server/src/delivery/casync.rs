//! `/casync/`: exported images for `casync extract` and its kin, from the directory `casync` of the data directory.
//!
//! ```text
//! casync/NAME.caibx                            an index; exported again under its name, it may change
//! casync/STORE.castr/abcd/<64 hex>.cacnk       a chunk, named by its digest
//! ```

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::file::{IMMUTABLE, NO_CACHE, OCTETS, open};
use crate::app::App;
use crate::extents::Extents;
use crate::http::pieces::Pieces;
use crate::http::route::get;
use crate::http::{Error, Name, Named};

/// Longest name of an index or a store, in bytes.
const NAME_MAX: usize = 200;
/// Hex digits in the name of a chunk: SHA-512/256.
const CHUNK_DIGITS: usize = 64;
/// Hex digits in the name of a chunk's directory.
const DIRECTORY_DIGITS: usize = 4;

/// A file below `casync/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CasyncName {
    path: String,
    is_chunk: bool,
}

/// Indexes and chunks.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/casync/{*name}", get("casync", casync))
}

async fn casync(
    State(app): State<Arc<App>>,
    Named(CasyncName { path, is_chunk }): Named<CasyncName>,
) -> Result<Response, Error> {
    let opened = open(&app, format!("casync/{path}")).await?;
    let opened = opened.ok_or_else(|| Error::NotFound("no such export".into()))?;
    let headers = [
        (header::CONTENT_TYPE, OCTETS.parse().map_err(Error::internal)?),
        (header::CACHE_CONTROL, if is_chunk { IMMUTABLE } else { NO_CACHE }),
    ];
    let size = opened.size;
    Ok((headers, Body::new(Pieces::new(Extents::from(opened), size))).into_response())
}

impl Name for CasyncName {
    fn parse(text: &str) -> Result<Self, Error> {
        let name = match text.split_once('/') {
            None => is_named(text, ".caibx").then_some(false),
            Some((store, chunk)) => (is_named(store, ".castr") && is_chunk(chunk)).then_some(true),
        };
        name.map(|is_chunk| Self { path: text.to_owned(), is_chunk })
            .ok_or_else(|| Error::NotFound("an export is NAME.caibx or STORE.castr/abcd/DIGEST.cacnk".into()))
    }
}

/// Whether `name` is something, and `suffix`.
fn is_named(name: &str, suffix: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    name.len() <= NAME_MAX
        && name.strip_suffix(suffix).is_some_and(|stem| {
            stem.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
                && stem.bytes().all(allowed)
        })
}

fn is_chunk(path: &str) -> bool {
    let parts =
        path.split_once('/').and_then(|(directory, file)| Some((directory, file.strip_suffix(".cacnk")?)));
    parts.is_some_and(|(directory, digest)| {
        directory.len() == DIRECTORY_DIGITS
            && digest.len() == CHUNK_DIGITS
            && digest.starts_with(directory)
            && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let digest = "0123456789abcdef".repeat(4);
        let chunk = format!("default.castr/0123/{digest}.cacnk");
        for (name, is_chunk) in [("ha@1.caibx", false), ("A_b-2.caibx", false), (chunk.as_str(), true)] {
            assert_eq!(CasyncName::parse(name).unwrap(), CasyncName { path: name.to_owned(), is_chunk });
        }
        for name in [
            "",
            ".caibx",
            "..caibx",
            ".hidden.caibx",
            "a.caidx",
            "a b.caibx",
            "a/b.caibx",
            "default.castr",
            "default.castr/",
            &format!("default.castr/{digest}.cacnk"),
            &format!("default.castr/0124/{digest}.cacnk"),
            &format!("default.castr/0123/{digest}"),
            &format!("default.castr/0123/{}.cacnk", digest.to_uppercase()),
            &format!("default.castr/0123/{digest}0.cacnk"),
            &format!("default.castr/0123/x/{digest}.cacnk"),
            &format!(".castr/0123/{digest}.cacnk"),
            &format!("x/default.castr/0123/{digest}.cacnk"),
            &format!("{}.caibx", "a".repeat(300)),
        ] {
            assert!(matches!(CasyncName::parse(name), Err(Error::NotFound(_))), "{name}");
        }
    }
}
