//! The end of an answer: when its body is written or dropped, the line in the log, the metrics and the phase follow.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Method, StatusCode, Uri};
use hyper::body::{Frame, SizeHint};

use crate::metrics::Metrics;
use crate::net::phase::Phase;

/// Longest part of a path in the log, in characters.
const LOGGED_PATH_MAX: usize = 200;

/// What is known about a request when its answer begins.
#[derive(Debug)]
pub struct Record {
    /// `delivery` or `admin`.
    pub listener: &'static str,
    /// The kind of request, a word of bounded variety.
    pub route: &'static str,
    /// The method.
    pub method: Method,
    /// What was asked for.
    pub uri: Uri,
    /// Status of the answer.
    pub status: StatusCode,
    /// Who asked.
    pub peer: IpAddr,
    /// When the head was complete.
    pub start: Instant,
    /// Why it is a refusal.
    pub reason: Option<String>,
}

/// A path as the log has it; nothing is done for a line that is not written.
struct Cut<'p>(&'p str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(LOGGED_PATH_MAX).map_or(self.0.len(), |(end, _)| end);
        f.write_str(&self.0[..end])
    }
}

/// A body that reports its end.
#[derive(Debug)]
pub struct Tail {
    body: Body,
    record: Record,
    metrics: Arc<Metrics>,
    phase: Arc<Phase>,
    sent: u64,
    promised: Option<u64>,
    failure: Option<String>,
}

impl Tail {
    /// Watches `body`.
    pub fn new(body: Body, record: Record, metrics: Arc<Metrics>, phase: Arc<Phase>) -> Self {
        let promised = body.size_hint().exact();
        Self { body, record, metrics, phase, sent: 0, promised, failure: None }
    }
}

impl HttpBody for Tail {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(error))) => self.failure = Some(error.to_string()),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.phase.idle();
        let Record { listener, route, method, uri, status, peer, start, reason } = &self.record;
        self.metrics.answered(listener, route, status.as_u16(), self.sent);
        let path = Cut(uri.path());
        let whole = *method == Method::HEAD || self.promised.is_none_or(|promised| promised == self.sent);
        let (ms, status, bytes) = (start.elapsed().as_millis() as u64, status.as_u16(), self.sent);
        if let Some(failure) = &self.failure {
            tracing::error!(%listener, %route, %method, %path, status, bytes, %peer, ms, reason = %failure, "cut");
        } else if !whole {
            tracing::info!(%listener, %route, %method, %path, status, bytes, %peer, ms, reason = "client left", "request");
        } else if let Some(reason) = reason {
            if status >= 500 {
                tracing::error!(%listener, %route, %method, %path, status, bytes, %peer, ms, %reason, "refused");
            } else if status == 404 && *route == "metadata" {
                // Every client asks for the root after the newest: that it is not there is the good answer.
                tracing::info!(%listener, %route, %method, %path, status, bytes, %peer, ms, %reason, "request");
            } else {
                tracing::warn!(%listener, %route, %method, %path, status, bytes, %peer, ms, %reason, "refused");
            }
        } else {
            tracing::info!(%listener, %route, %method, %path, status, bytes, %peer, ms, "request");
        }
    }
}
