//! Reading a request's body within bounds: a declared length, a cap, a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header;

use super::error::Error;

/// How long one piece of a body may take.
const PIECE_TIME: Duration = Duration::from_secs(20);
/// How long a whole body may take: 64 MiB at 1 Mbit/s.
const WHOLE_TIME: Duration = Duration::from_secs(600);

/// The declared length of a body, in bytes, checked against `max`.
///
/// Bodies without Content-Length are refused, so that the cap holds before anything is read and no proxy can disagree with
/// us about where a request ends.
///
/// # Errors
/// [`Error::LengthRequired`], [`Error::TooLarge`].
pub fn declared_length(headers: &HeaderMap, max: u64) -> Result<u64, Error> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::LengthRequired);
    }
    let value = headers.get(header::CONTENT_LENGTH).ok_or(Error::LengthRequired)?;
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let found: u64 = length.ok_or_else(|| Error::BadRequest("Content-Length is not a number".into()))?;
    if found > max { Err(Error::TooLarge { max, found }) } else { Ok(found) }
}

/// The next piece of a body; `None` at its end.
///
/// # Errors
/// [`Error::Timeout`], or [`Error::BadRequest`] when the client breaks off.
pub async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = tokio::time::timeout(PIECE_TIME, body.frame()).await.map_err(|_| Error::Timeout)?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Error::BadRequest(format!("the body broke off: {error}"))),
            // Trailers carry nothing for us.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Runs `reading`, which reads a whole body, under the time for whole bodies.
///
/// # Errors
/// [`Error::Timeout`], or what `reading` says.
pub async fn in_time<T>(reading: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(WHOLE_TIME, reading).await.map_err(|_| Error::Timeout)?
}

/// A whole body in memory, at most `max` bytes.
///
/// # Errors
/// As [`declared_length`] and [`next_piece`].
pub async fn whole(headers: &HeaderMap, mut body: Incoming, max: u64) -> Result<Bytes, Error> {
    let length = declared_length(headers, max)?;
    in_time(async {
        // The buffer grows with what arrives, not with what was announced.
        let mut bytes = BytesMut::new();
        while let Some(piece) = next_piece(&mut body).await? {
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 == length {
            Ok(bytes.freeze())
        } else {
            Err(Error::BadRequest(format!("body: expected {length} bytes, found {}", bytes.len())))
        }
    })
    .await
}
