//! One exchange over a connection that is kept for the next.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::{Agent, Body, RequestBuilder};

use super::body::{self, Sink};
use super::error::is_closed;
use super::{BaseUrl, HttpError, head};

/// Slowest acceptable transfer in bytes per second: with it, the deadline of an object follows from its size.
pub const MIN_RATE: u64 = 64 << 10;

/// Largest head read, in bytes (endless data before the body).
const HEAD_MAX: usize = 16 << 10;

/// Media types of what is sent.
const JSON: &str = "application/json";
const SIGNED: &str = "application/vnd.bascule.signed";

/// Bounds of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest acceptable body in bytes.
    pub body: u64,
    /// For the TCP connection, all addresses of the host together.
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
    agent: Agent,
    /// Whether the last exchange left a connection that can be used again.
    kept: bool,
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
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("imgagent/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(HEAD_MAX)
            .max_idle_connections(1);
        Self { base, agent: config.build().new_agent(), kept: false }
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
        self.exchange(path, None, limits, sink)
    }

    /// `POST` of JSON; the answer's body is dropped.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post_json(&mut self, path: &str, json: &[u8], limits: &Limits) -> Result<Answer, HttpError> {
        self.exchange(path, Some((JSON, json)), limits, &mut |_| ControlFlow::Continue(()))
    }

    /// `POST` of a signed message; the answer's body in memory.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post_signed(&mut self, path: &str, message: &[u8], limits: &Limits) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        self.exchange(path, Some((SIGNED, message)), limits, &mut |bytes| {
            body.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
        Ok(body)
    }

    fn exchange(
        &mut self,
        path: &str,
        post: Option<(&str, &[u8])>,
        limits: &Limits,
        sink: Sink<'_>,
    ) -> Result<Answer, HttpError> {
        let start = Instant::now();
        let kept = std::mem::take(&mut self.kept);
        let mut response = self.send(path, post, limits, limits.total);
        // A kept connection may have been closed by the server in the meantime: then, and only then, the request is sent
        // again on a new one.
        if kept && response.as_ref().is_err_and(is_closed) {
            response = self.send(path, post, limits, limits.total.saturating_sub(start.elapsed()));
        }
        let response = response.map_err(|error| HttpError::of_head(error, &self.base, path, limits.total))?;
        let (head, mut body) = response.into_parts();
        head::check(&head.headers)?;
        let status = head.status.as_u16();
        if head.status.is_success() {
            let length = body::read(&mut body, limits.body, limits.total, sink)?;
            self.kept = true;
            Ok(Answer { status, length })
        } else {
            let (reason, whole) = body::reason(&mut body);
            self.kept = whole;
            Err(HttpError::Status { status, reason, retry_after: head::retry_after(&head.headers) })
        }
    }

    fn send(
        &self,
        path: &str,
        post: Option<(&str, &[u8])>,
        limits: &Limits,
        left: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let url = format!("{}{path}", self.base);
        match post {
            None => within(self.agent.get(url), limits, left).call(),
            Some((kind, bytes)) => {
                let request = self.agent.post(url).header("Content-Type", kind);
                within(request, limits, left).send(bytes)
            }
        }
    }
}

/// The request with its limits in time, `left` for everything together.
fn within<B>(request: RequestBuilder<B>, limits: &Limits, left: Duration) -> RequestBuilder<B> {
    request
        .config()
        .timeout_global(Some(left))
        .timeout_connect(Some(limits.connect))
        .timeout_per_read(Some(limits.silence))
        .timeout_per_write(Some(limits.silence))
        .build()
}
