//! Reading a request's body within bounds: a declared length, a cap, a time.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

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

/// A body that has declared its length, at most `MAX` bytes. Nothing of it is read yet.
///
/// Bodies without Content-Length are refused, so that the cap holds before anything is read and no proxy can disagree with
/// us about where a request ends. axum's own body extractors have no such rules, and no time.
#[derive(Debug)]
pub struct Declared<const MAX: u64> {
    /// What was declared, in bytes.
    pub length: u64,
    /// What comes.
    pub body: Body,
}

impl<S: Sync, const MAX: u64> FromRequest<S> for Declared<MAX> {
    /// [`Error::LengthRequired`], [`Error::BadRequest`], [`Error::TooLarge`].
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let length = declared_length(request.headers(), MAX)?;
        Ok(Self { length, body: request.into_body() })
    }
}

impl<const MAX: u64> Declared<MAX> {
    /// The whole body in memory.
    ///
    /// # Errors
    /// As [`next_piece`] and [`in_time`], and a body of another length than it declared.
    pub async fn whole(self) -> Result<Bytes, Error> {
        let Self { length, mut body } = self;
        in_time(length, async {
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
}

fn declared_length(headers: &HeaderMap, max: u64) -> Result<u64, Error> {
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
pub async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, Error> {
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

/// Reads the rest of a body that is of no interest. Closing a connection over unread bytes resets it, and a client that
/// still sends would see "connection reset" where we said why.
pub async fn discard(mut body: Body) {
    if body.size_hint().exact().is_none_or(|rest| rest > DISCARD_MAX) {
        return;
    }
    let reading = async {
        while let Ok(Ok(Some(_))) = tokio::time::timeout(DISCARD_PAUSE, next_piece(&mut body)).await {}
    };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}
