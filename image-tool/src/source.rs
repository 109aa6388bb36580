//! Where published metadata and objects are read from: a server's delivery listener, or a store directory.
//!
//! Nothing of it is believed: metadata goes through the TUF client, everything else has its digest in its name.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use image_format::ObjectId;
use image_format::repository::Repository;
use image_format::store::Store;
use ureq::Agent;

use crate::destination::retry::{Failed, TRIES, retry};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A place to read from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A delivery listener.
    Server {
        /// `http://host:7080`.
        base: String,
        /// The HTTP client.
        agent: Agent,
    },
    /// A store directory.
    Directory(Store),
}

impl Source {
    /// Opens `spec`, a URL or a directory. A server is not asked anything yet.
    pub(crate) fn open(spec: &str) -> anyhow::Result<Self> {
        if !spec.contains("://") {
            let store = Store::open(Path::new(spec)).with_context(|| format!("open store {spec}"))?;
            return Ok(Self::Directory(store));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_per_read(Some(TIMEOUT));
        Ok(Self::Server { base: spec.trim_end_matches('/').to_owned(), agent: config.build().new_agent() })
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Server { base, .. } => base.clone(),
            Self::Directory(store) => store.path().display().to_string(),
        }
    }

    /// A metadata file; none if it is not there.
    pub(crate) fn metadata(&self, name: &str, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Self::Server { .. } => self.get(&format!("/metadata/{name}"), max),
            Self::Directory(store) => Ok(Repository::open(store).read_metadata(name)?),
        }
    }

    /// A target file by its name below `targets/`.
    pub(crate) fn target(&self, name: &str, max: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Self::Server { .. } => self.get(&format!("/targets/{name}"), max)?,
            Self::Directory(store) => Repository::open(store).read_target(name)?,
        };
        bytes.with_context(|| format!("{}: {name} is listed, but not there", self.name()))
    }

    /// An object of `size` bytes. Its digest is for the caller to compare.
    pub(crate) fn object(&self, id: ObjectId, size: u64) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Self::Server { .. } => self.get(&format!("/objects/{id}"), size)?,
            Self::Directory(store) => Some(store.read(id, size)?),
        };
        bytes.with_context(|| format!("{}: object {id} is not there", self.name()))
    }

    fn get(&self, path: &str, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let Self::Server { base, agent } = self else { return Ok(None) };
        let url = format!("{base}{path}");
        let attempt = || {
            let later = |error: ureq::Error| Failed::Later {
                error: anyhow::Error::new(error).context(format!("get {url}")),
                after: None,
            };
            let mut response = agent.get(&url).call().map_err(later)?;
            let status = response.status().as_u16();
            let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
            match status {
                200 => {
                    response.body_mut().with_config().limit(max + 1).read_to_vec().map(Some).map_err(later)
                }
                404 => Ok(None),
                429 | 502..=504 => Err(Failed::Later { error: anyhow!("get {url}: status {status}"), after }),
                _ => Err(Failed::Final(anyhow!("get {url}: expected status 200, found {status}"))),
            }
        };
        Ok(retry(|| TRIES, attempt, thread::sleep)?)
    }
}
