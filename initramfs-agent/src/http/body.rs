//! Reading a body by its framing, up to a limit.

use std::ops::ControlFlow;

use super::HttpError;
use super::head::Framing;
use super::wire::{Deadline, Wire};

/// Longest line of chunk framing, in bytes.
const CHUNK_LINE_MAX: usize = 128;

const DURING: &str = "reading the answer";

/// Takes the pieces of a body; a break ends the exchange with [`HttpError::Stopped`].
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// Passes the body to `sink`, piece by piece.
///
/// # Errors
/// [`HttpError::TooLarge`] before a byte beyond `max` reaches the sink, [`HttpError::Truncated`], [`HttpError::Stopped`], and the connection's errors.
pub fn read(
    wire: &mut Wire,
    framing: Framing,
    max: u64,
    deadline: &Deadline,
    sink: Sink<'_>,
) -> Result<u64, HttpError> {
    match framing {
        Framing::Length(length) if length > max => Err(HttpError::TooLarge { max }),
        Framing::Length(length) => exactly(wire, length, deadline, sink).map(|()| length),
        Framing::Close => until_close(wire, max, deadline, sink),
        Framing::Chunked => chunked(wire, max, deadline, sink),
    }
}

fn exactly(wire: &mut Wire, length: u64, deadline: &Deadline, sink: Sink<'_>) -> Result<(), HttpError> {
    let mut left = length;
    while left > 0 {
        let bytes = wire.fill(DURING, deadline)?;
        if bytes.is_empty() {
            return Err(HttpError::Truncated { expected: length, found: length - left });
        }
        let take = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let flow = sink(&bytes[..take]);
        wire.consume(take);
        go_on(flow)?;
        left -= take as u64;
    }
    Ok(())
}

fn go_on(flow: ControlFlow<()>) -> Result<(), HttpError> {
    if flow.is_break() { Err(HttpError::Stopped) } else { Ok(()) }
}

fn until_close(wire: &mut Wire, max: u64, deadline: &Deadline, sink: Sink<'_>) -> Result<u64, HttpError> {
    let mut total = 0;
    loop {
        let bytes = wire.fill(DURING, deadline)?;
        let count = bytes.len();
        if count == 0 {
            return Ok(total);
        }
        total += count as u64;
        if total > max {
            return Err(HttpError::TooLarge { max });
        }
        let flow = sink(bytes);
        wire.consume(count);
        go_on(flow)?;
    }
}

fn chunked(wire: &mut Wire, max: u64, deadline: &Deadline, sink: Sink<'_>) -> Result<u64, HttpError> {
    let mut total = 0_u64;
    loop {
        let size_line = line(wire, deadline)?;
        let digits = size_line.split(';').next().unwrap_or_default().trim();
        let valid = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16).ok().filter(|_| valid);
        let size = size.ok_or(HttpError::Malformed("chunk size is not a number"))?;
        total = total.checked_add(size).filter(|total| *total <= max).ok_or(HttpError::TooLarge { max })?;
        if size == 0 {
            break;
        }
        exactly(wire, size, deadline, sink)?;
        if !line(wire, deadline)?.is_empty() {
            return Err(HttpError::Malformed("chunk is longer than its size"));
        }
    }
    for _ in 0..16 {
        if line(wire, deadline)?.is_empty() {
            return Ok(total);
        }
    }
    Err(HttpError::Malformed("too many trailer fields"))
}

fn line(wire: &mut Wire, deadline: &Deadline) -> Result<String, HttpError> {
    let mut line = Vec::new();
    loop {
        let bytes = wire.fill(DURING, deadline)?;
        if bytes.is_empty() {
            return Err(HttpError::Malformed("connection ended inside of chunk framing"));
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&bytes[..end.unwrap_or(bytes.len()).min(CHUNK_LINE_MAX + 1)]);
        if line.len() > CHUNK_LINE_MAX {
            return Err(HttpError::Malformed("line of chunk framing is too long"));
        }
        let used = end.map_or(bytes.len(), |end| end + 1);
        wire.consume(used);
        if end.is_some() {
            let text =
                String::from_utf8(line).map_err(|_| HttpError::Malformed("chunk framing is not text"))?;
            return Ok(text.trim_end_matches('\r').to_owned());
        }
    }
}
