//! Reading a store of chunks: a directory, or the same behind a web server. Nothing of it is believed.

mod directory;
mod server;

use std::path::Path;

use anyhow::Context as _;

use self::directory::Directory;
use self::server::Server;
use super::cacnk::{self, Form};
use super::{CasyncChunk, CasyncId, Hash};

pub(crate) use self::directory::create_or_open;

/// Requests at a time: one connection waits for an answer most of the time.
const REQUESTS: usize = 8;

/// A store of chunks.
#[derive(Debug)]
pub(crate) enum Castr {
    /// A directory.
    Directory(Directory),
    /// Behind a web server.
    Server(Server),
}

impl Castr {
    /// Opens `spec`, a URL or a directory. A server is not asked anything yet.
    pub(crate) fn open(spec: &str) -> anyhow::Result<Self> {
        if is_url(spec) {
            return Server::open(spec).map(Self::Server);
        }
        Directory::open(Path::new(spec)).map(Self::Directory)
    }

    /// A directory that is open already; `path` is for people.
    pub(crate) fn at(dir: std::fs::File, path: &Path) -> Self {
        Self::Directory(Directory::at(dir, path))
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Directory(directory) => directory.path().display().to_string(),
            Self::Server(server) => server.base().to_owned(),
        }
    }

    /// How many threads should ask at a time.
    pub(crate) fn threads(&self) -> usize {
        match self {
            // As many as there are processors.
            Self::Directory(_) => 0,
            Self::Server(_) => REQUESTS,
        }
    }

    /// The plain bytes of a chunk, which have its length and its digest. The compressed file is taken where both are there.
    pub(crate) fn chunk(&self, chunk: &CasyncChunk, hash: Hash) -> anyhow::Result<Vec<u8>> {
        let what = || format!("{}: chunk {}", self.name(), chunk.id);
        for form in [Form::Compressed, Form::Plain] {
            if let Some(bytes) = self.file(&chunk.id, form, form.max(chunk.len)).with_context(what)? {
                return cacnk::decode(form, bytes, chunk, hash).with_context(what);
            }
        }
        Err(anyhow::anyhow!("it is not there")).with_context(what)
    }

    fn file(&self, id: &CasyncId, form: Form, max: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let name = match form {
            Form::Compressed => id.file(),
            Form::Plain => id.to_string(),
        };
        match self {
            Self::Directory(directory) => directory.read(&id.dir(), &name, max),
            Self::Server(server) => server.get(&format!("{}/{name}", id.dir()), max),
        }
    }
}

/// Whether this is a URL.
pub(crate) fn is_url(spec: &str) -> bool {
    spec.contains("://")
}

/// A file of at most `max` bytes, by URL or path.
pub(crate) fn read_anywhere(spec: &str, max: u64) -> anyhow::Result<Vec<u8>> {
    if !is_url(spec) {
        return crate::fsutil::read_limited(Path::new(spec), max);
    }
    let (base, name) = spec.rsplit_once('/').context("a URL has a `/`")?;
    Server::open(base)?.get(name, max)?.with_context(|| format!("{spec}: it is not there"))
}

#[cfg(test)]
mod tests;
