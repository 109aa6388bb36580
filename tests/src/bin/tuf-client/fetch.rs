//! Getting files by HTTP, never more than is asked for.

use anyhow::{Context, Result, bail};
use signing::Fetch;

/// A place that has metadata or targets.
pub(crate) struct Source {
    base: String,
    agent: ureq::Agent,
}

/// Why a file could not be fetched.
#[derive(Debug)]
pub(crate) struct FetchError(anyhow::Error);

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for FetchError {}

impl Source {
    /// A base URL, with or without a slash at its end.
    pub(crate) fn at(base: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Self { base: base.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    /// A metadata file; `None` when the server has none of this name.
    pub(crate) fn metadata(&self, wanted: &Fetch) -> Result<Option<Vec<u8>>, FetchError> {
        self.get(&wanted.name, wanted.max_len).map_err(FetchError)
    }

    /// The body, at most `max` bytes and one more, so that the verifier sees what is too long.
    pub(crate) fn get(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let url = format!("{}/{path}", self.base);
        let mut answer = self.agent.get(&url).call().with_context(|| format!("GET {url}"))?;
        match answer.status().as_u16() {
            200 => {}
            403 | 404 => return Ok(None),
            status => bail!("GET {url}: status {status}"),
        }
        let body = answer.body_mut().with_config().limit(max.saturating_add(1)).read_to_vec();
        body.map(Some).with_context(|| format!("GET {url}"))
    }
}
