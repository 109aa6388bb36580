//! One exchange over a connection that is kept for the next.

use std::ops::ControlFlow;
use std::time::Duration;

use super::body::{self, Sink};
use super::head::{HEAD_MAX, Head};
use super::wire::{Deadline, Wire};
use super::{BaseUrl, HttpError};

/// Slowest acceptable transfer in bytes per second: with it, the deadline of an object follows from its size.
pub const MIN_RATE: u64 = 64 << 10;

/// Longest part of an error body that is shown, in characters.
const REASON_MAX: usize = 160;

/// Bounds of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest acceptable body in bytes.
    pub body: u64,
    /// For the TCP connection.
    pub connect: Duration,
    /// For each single wait.
    pub silence: Duration,
    /// For everything together.
    pub total: Duration,
}

impl Limits {
    /// For a body of at most `max` bytes: ten seconds, and what [`MIN_RATE`] allows.
    pub fn for_body(max: u64) -> Self {
        Self {
            body: max,
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(10),
            total: Duration::from_secs(10 + max / MIN_RATE),
        }
    }

    /// For a message that must not hold anything up.
    pub fn brief(total: Duration) -> Self {
        Self { body: 16 << 10, connect: total, silence: total, total }
    }
}

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    base: BaseUrl,
    kept: Option<Wire>,
}

/// What a successful exchange brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Status, 2xx.
    pub status: u16,
    /// Length of the body in bytes.
    pub length: u64,
}

impl Client {
    /// A client without a connection yet.
    pub fn new(base: BaseUrl) -> Self {
        Self { base, kept: None }
    }

    /// Where it connects to.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// `GET`, the whole body in memory.
    ///
    /// # Errors
    /// All of [`HttpError`]; a status other than 2xx is one.
    pub fn get(&mut self, path: &str, limits: &Limits) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        self.get_with(path, limits, &mut |bytes| {
            body.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
        Ok(body)
    }

    /// `GET`, the body piece by piece. On an error pieces may have reached the sink.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_with(&mut self, path: &str, limits: &Limits, sink: Sink<'_>) -> Result<Answer, HttpError> {
        let request = self.request("GET", path, "");
        self.exchange(request.as_bytes(), limits, sink)
    }

    /// `POST` of JSON; the answer's body is dropped.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post_json(&mut self, path: &str, json: &[u8], limits: &Limits) -> Result<Answer, HttpError> {
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
        let mut request = self.request("POST", path, &fields).into_bytes();
        request.extend_from_slice(json);
        self.exchange(&request, limits, &mut |_| ControlFlow::Continue(()))
    }

    fn request(&self, method: &str, path: &str, fields: &str) -> String {
        let host = match self.base.port() {
            80 => self.base.host().to_owned(),
            port => format!("{}:{port}", self.base.host()),
        };
        let target = self.base.target(path);
        let agent = concat!("imgagent/", env!("CARGO_PKG_VERSION"));
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{fields}\r\n")
    }

    fn exchange(&mut self, request: &[u8], limits: &Limits, sink: Sink<'_>) -> Result<Answer, HttpError> {
        let deadline = Deadline::new(limits.total, limits.silence);
        let (mut wire, head) = self.head(request, limits, &deadline)?;
        let (result, complete) = if (200..300).contains(&head.status) {
            let length = body::read(&mut wire, head.framing, limits.body, &deadline, sink);
            let complete = length.is_ok();
            (length.map(|length| Answer { status: head.status, length }), complete)
        } else {
            let mut text = Vec::new();
            let max = REASON_MAX as u64 * 4;
            // The reason is a courtesy: a refusal whose text cannot be read is the same refusal.
            let whole = body::read(&mut wire, head.framing, max, &deadline, &mut |bytes| {
                text.extend_from_slice(bytes);
                ControlFlow::Continue(())
            });
            let (status, retry_after) = (head.status, head.retry_after);
            (Err(HttpError::Status { status, reason: reason(&text), retry_after }), whole.is_ok())
        };
        if complete && head.keep_alive && !wire.has_surplus() {
            self.kept = Some(wire);
        }
        result
    }

    /// Sends the request and reads the head. A kept connection may have been closed by the server in the meantime: then,
    /// and only then, the request is sent again on a new one.
    fn head(
        &mut self,
        request: &[u8],
        limits: &Limits,
        deadline: &Deadline,
    ) -> Result<(Wire, Head), HttpError> {
        if let Some(mut wire) = self.kept.take() {
            match wire.send(request, deadline).and_then(|()| read_head(&mut wire, deadline)) {
                Ok(head) => return Ok((wire, head)),
                Err(HttpError::Io { .. } | HttpError::Truncated { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut wire = Wire::connect(&self.base, limits.connect, deadline)?;
        wire.send(request, deadline)?;
        let head = read_head(&mut wire, deadline)?;
        Ok((wire, head))
    }
}

fn read_head(wire: &mut Wire, deadline: &Deadline) -> Result<Head, HttpError> {
    let mut head: Vec<u8> = Vec::new();
    loop {
        let bytes = wire.fill("waiting for the answer", deadline)?;
        if bytes.is_empty() {
            return Err(HttpError::Truncated { expected: 1, found: 0 });
        }
        let before = head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX + 4 - before)]);
        let added = head.len() - before;
        let search = before.saturating_sub(3);
        if let Some(at) = head[search..].windows(4).position(|window| window == b"\r\n\r\n") {
            let end = search + at;
            wire.consume(end + 4 - before);
            let parsed = Head::parse(&head[..end])?;
            if parsed.status >= 200 {
                return Ok(parsed);
            }
            head.clear();
        } else {
            wire.consume(added);
        }
        if head.len() > HEAD_MAX {
            return Err(HttpError::Malformed("head is too long"));
        }
    }
}

fn reason(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line: String =
        text.lines().next()?.chars().filter(|char| !char.is_control()).take(REASON_MAX).collect();
    Some(line).filter(|line| !line.is_empty())
}
