//! Asking the delivery listener, again and again within a bound.

use std::time::{Duration, Instant};

use image_format::ObjectId;

use crate::http::body::Sink;
use crate::http::retry::{Backoff, seed};
use crate::http::{BaseUrl, Client, HttpError, Limits};
use crate::say;

/// The delivery listener, and until when it is asked.
#[derive(Debug)]
pub struct Server {
    client: Client,
    backoff: Backoff,
    until: Instant,
}

impl Server {
    /// A server that is asked again after passing failures for at most `patience` from now on.
    pub fn new(base: BaseUrl, patience: Duration) -> Self {
        Self { client: Client::new(base), backoff: Backoff::new(seed()), until: Instant::now() + patience }
    }

    /// Where it is.
    pub fn base(&self) -> &BaseUrl {
        self.client.base()
    }

    /// Starts the patience anew: as long as something arrives, a large transfer may take its time.
    pub fn be_patient(&mut self, patience: Duration) {
        self.until = Instant::now() + patience;
    }

    /// One `GET` without repetition, the body piece by piece.
    ///
    /// # Errors
    /// All of [`HttpError`].
    pub(super) fn stream(&mut self, path: &str, max: u64, sink: Sink<'_>) -> Result<(), HttpError> {
        let mut came = false;
        let result = self.client.get_with(path, &Limits::for_body(max), &mut |bytes| {
            came = true;
            sink(bytes)
        });
        // What follows is another failure than the one before.
        if came {
            self.backoff = Backoff::new(seed());
        }
        result.map(drop)
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The error itself, when it will not pass or the patience is over.
    pub(super) fn pause_after(&mut self, path: &str, error: HttpError) -> Result<(), HttpError> {
        let pause = self.backoff.next(error.retry_after());
        if !error.is_transient() || Instant::now() + pause >= self.until {
            return Err(error);
        }
        let error = anyhow::Error::new(error);
        let path: String = path.chars().take(80).collect();
        say!("server: {}{path}: {error:#}; trying again in {:.1} s", self.base(), pause.as_secs_f64());
        std::thread::sleep(pause);
        Ok(())
    }

    /// `GET` of at most `max` bytes, repeated with growing pauses while the failure may pass.
    ///
    /// # Errors
    /// The first failure that will not pass, or the last one when the patience is over.
    pub fn get(&mut self, path: &str, max: u64) -> Result<Vec<u8>, HttpError> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let limits = Limits::for_body(max);
            let limits = Limits { connect: limits.connect.min(left.max(Duration::from_secs(1))), ..limits };
            match self.client.get(path, &limits) {
                Ok(body) => {
                    self.backoff = Backoff::new(seed());
                    return Ok(body);
                }
                Err(error) => self.pause_after(path, error)?,
            }
        }
    }

    /// A metadata file; none when the server has none of this name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn metadata(&mut self, name: &str, max: u64) -> Result<Option<Vec<u8>>, HttpError> {
        match self.get(&format!("/metadata/{name}"), max) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A target file by its path under consistent snapshots: the digest stands before the last name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn target(&mut self, path: &str, sha256: &[u8; 32], length: u64) -> Result<Vec<u8>, HttpError> {
        let digest = image_format::Sha256::from_bytes(*sha256);
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.get(&format!("/targets/{directory}/{digest}.{name}"), length)
    }

    /// A stored object of exactly `size` bytes. The caller checks the digest.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn object(&mut self, id: ObjectId, size: u64) -> Result<Vec<u8>, HttpError> {
        self.get(&format!("/objects/{id}"), size)
    }
}
