//! A store behind a web server.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail};
use ureq::{Agent, Error};

use super::REQUESTS;
use crate::destination::retry::{Failed, TRIES, retry};

/// Longest wait for a connection, for an answer, and for the next bytes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for one file from end to end: an answer that trickles is no answer.
const TIMEOUT_ALL: Duration = Duration::from_secs(300);

/// A directory behind a web server.
#[derive(Debug)]
pub(crate) struct Server {
    base: String,
    agent: Agent,
}

impl Server {
    /// `base` is a URL without the last `/`.
    pub(super) fn open(base: &str) -> anyhow::Result<Self> {
        if !base.starts_with("http://") {
            bail!("{base}: expected http://HOST[:PORT]/PATH");
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections_per_host(REQUESTS)
            .proxy(None)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(TIMEOUT))
            .timeout_global(Some(TIMEOUT_ALL));
        Ok(Self { base: base.trim_end_matches('/').to_owned(), agent: config.build().new_agent() })
    }

    /// The URL.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The file at `path`, of at most `max` bytes; none if it is not there.
    pub(super) fn get(&self, path: &str, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let url = format!("{}/{path}", self.base);
        Ok(retry(|| TRIES, || self.attempt(&url, max), thread::sleep)?)
    }

    fn attempt(&self, url: &str, max: u64) -> Result<Option<Vec<u8>>, Failed> {
        let later = |error: Error| Failed::Later {
            error: anyhow::Error::new(error).context(format!("get {url}")),
            after: None,
        };
        let too_long = || Failed::Final(anyhow!("get {url}: expected at most {max} bytes, found more"));
        let mut response = self.agent.get(url).call().map_err(later)?;
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        match status {
            200 => match response.body_mut().with_config().limit(max + 1).read_to_vec() {
                Ok(bytes) if bytes.len() as u64 > max => Err(too_long()),
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if is_too_long(&error) => Err(too_long()),
                Err(error) => Err(later(error)),
            },
            404 => Ok(None),
            429 | 502..=504 => Err(Failed::Later { error: anyhow!("get {url}: status {status}"), after }),
            _ => Err(Failed::Final(anyhow!("get {url}: expected status 200, found {status}"))),
        }
    }
}

fn is_too_long(error: &Error) -> bool {
    match error {
        Error::BodyExceedsLimit(_) => true,
        // The reader of the body hands it on inside of its own error.
        Error::Io(error) => inner(error).is_some_and(is_too_long),
        _ => false,
    }
}

fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
