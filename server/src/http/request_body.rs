//! Reading a request's body within bounds: a declared length, a cap, a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header;

use super::error::Error;

/// How long one piece of a body may take.
const PIECE_TIME: Duration = Duration::from_secs(20);
/// How long a whole body may take, plus a second for each [`SLOWEST`] bytes of it.
const WHOLE_TIME: Duration = Duration::from_secs(10);
/// Slowest acceptable client, in bytes per second: 64 MiB then take nine minutes.
const SLOWEST: u64 = 128 << 10;
/// How much of a refused body is read, and for how long, so that the client comes to read our answer.
const DISCARD_MAX: u64 = 128 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(10);
/// A client that sends nothing for so long waits for our answer instead.
const DISCARD_PAUSE: Duration = Duration::from_millis(500);

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

/// Runs `reading`, which reads a whole body of `length` bytes, under the time for such bodies.
///
/// # Errors
/// [`Error::Timeout`], or what `reading` says.
pub async fn in_time<T>(length: u64, reading: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let time = WHOLE_TIME + Duration::from_secs(length / SLOWEST);
    tokio::time::timeout(time, reading).await.map_err(|_| Error::Timeout)?
}

/// Reads the rest of a body that is of no interest, unless the client asked first (`Expect: 100-continue`). Closing a connection over unread bytes resets it, and a client that still
/// sends would see "connection reset" where we said why.
pub async fn discard(headers: &HeaderMap, body: &mut Incoming) {
    if headers.contains_key(header::EXPECT) || body.size_hint().exact().is_none_or(|rest| rest > DISCARD_MAX)
    {
        return;
    }
    let reading =
        async { while let Ok(Ok(Some(_))) = tokio::time::timeout(DISCARD_PAUSE, next_piece(body)).await {} };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// A whole body in memory, at most `max` bytes.
///
/// # Errors
/// As [`declared_length`] and [`next_piece`].
pub async fn whole(headers: &HeaderMap, body: &mut Incoming, max: u64) -> Result<Bytes, Error> {
    let length = declared_length(headers, max)?;
    in_time(length, async {
        // The buffer grows with what arrives, not with what was announced.
        let mut bytes = BytesMut::new();
        while let Some(piece) = next_piece(body).await? {
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
