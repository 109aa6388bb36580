//! Reading a body up to a limit.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::time::Duration;

use ureq::Body;

use super::HttpError;

/// Size of the pieces of a body in bytes, as large as `ureq`'s own buffer.
const PIECE: usize = 128 << 10;

/// Longest part of an error body that is shown, in characters.
const REASON_MAX: usize = 160;

/// Takes the pieces of a body; a break ends the exchange with [`HttpError::Stopped`].
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// Passes the body to `sink`, piece by piece, and gives its length. `total` is the time that the exchange may take.
///
/// # Errors
/// [`HttpError::TooLarge`] before a byte beyond `max` reaches the sink, [`HttpError::Truncated`], [`HttpError::Stopped`],
/// and the connection's errors.
pub(super) fn read(body: &mut Body, max: u64, total: Duration, sink: Sink<'_>) -> Result<u64, HttpError> {
    let expected = body.content_length();
    if expected.is_some_and(|length| length > max) {
        return Err(HttpError::TooLarge { max });
    }
    let mut reader = body.as_reader();
    let mut piece = vec![0; PIECE];
    let mut length = 0;
    loop {
        let count = reader
            .read(&mut piece)
            .map_err(|error| HttpError::of_body(ureq::Error::from(error), total, expected, length))?;
        if count == 0 {
            return Ok(length);
        }
        length += count as u64;
        if length > max {
            return Err(HttpError::TooLarge { max });
        }
        if sink(&piece[..count]).is_break() {
            return Err(HttpError::Stopped);
        }
    }
}

/// The first line of a refusal's body, and whether the whole body was read. The reason is a courtesy: a refusal whose text
/// cannot be read is the same refusal.
pub(super) fn reason(body: &mut Body) -> (Option<String>, bool) {
    let mut bytes = Vec::new();
    let max = REASON_MAX as u64 * 4;
    let read = body.as_reader().take(max).read_to_end(&mut bytes);
    let whole = read.is_ok_and(|length| (length as u64) < max);
    let text = String::from_utf8_lossy(&bytes);
    // The admin listener says it as JSON.
    let json = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let told = json.as_ref().and_then(|json| json.get("error")).and_then(serde_json::Value::as_str);
    let first = told.unwrap_or(&text).lines().next().unwrap_or_default();
    let line: String = first.chars().filter(|char| !char.is_control()).take(REASON_MAX).collect();
    (Some(line).filter(|line| !line.is_empty()), whole)
}
