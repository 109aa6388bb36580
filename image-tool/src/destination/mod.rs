//! Where things are published: a running server's admin listener, or a store directory.

mod directory;
pub(crate) mod retry;
mod server;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fleet_protocol::{Names, Stored};
use image_format::ObjectId;
use image_format::repository::Upload;

pub(crate) use self::directory::Directory;
pub(crate) use self::server::Server;
use crate::context::Context;
use crate::fsutil::read_limited;
use crate::repo::Repo;
use crate::source::Source;

/// Environment variable with the server's token.
pub(crate) const TOKEN_VARIABLE: &str = "BASCULE_TOKEN";

/// What helps when the other side has the same versions with other content.
pub(crate) const CONFLICT_ADVICE: &str = "somebody else has signed the same versions: `imgtool pull --discard` takes theirs and gives up what was signed only here";

/// Longest token file read, in bytes.
const TOKEN_MAX: u64 = 4096;

/// A place that takes objects and signed metadata.
pub(crate) trait Destination: Sync {
    /// For people: the URL or the directory.
    fn name(&self) -> &str;

    /// Names of the metadata and target files that are there.
    fn names(&self) -> anyhow::Result<Names>;

    /// Which of `ids` are not there, in the same order.
    fn missing(&self, ids: &[ObjectId]) -> anyhow::Result<Vec<ObjectId>>;

    /// Stores objects; they are durable when this returns.
    fn put(&self, objects: &[(ObjectId, Vec<u8>)]) -> anyhow::Result<Stored>;

    /// Where what it publishes can be read.
    fn source(&self) -> anyhow::Result<Source>;

    /// Makes metadata and targets current: all of it, or nothing. Repeating what is current already is no error.
    fn commit(&self, upload: &Upload) -> Result<(), NotCommitted>;
}

/// Why a commit did not end well.
#[derive(Debug)]
pub(crate) enum NotCommitted {
    /// It was refused: nothing has changed there.
    Refused(anyhow::Error),
    /// Nobody knows: there was no answer.
    Unknown(anyhow::Error),
}

impl From<NotCommitted> for anyhow::Error {
    fn from(failed: NotCommitted) -> Self {
        match failed {
            NotCommitted::Refused(error) | NotCommitted::Unknown(error) => error,
        }
    }
}

/// Options of every verb that talks to a destination.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct To {
    /// Server (http://HOST:7081) or store directory [default: `remote` of bascule.toml]
    #[arg(long, value_name = "URL|DIR")]
    to: Option<String>,

    /// File with the server's token [default: BASCULE_TOKEN, then `token_file` of bascule.toml]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl To {
    /// The destination that the options or the repository's settings name; none if neither does.
    pub(crate) fn open(&self, repo: &Repo) -> anyhow::Result<Option<Box<dyn Destination>>> {
        match self.spec(Some(repo)) {
            None => Ok(None),
            Some(spec) if is_url(&spec) => Ok(Some(Box::new(Server::new(&spec, self.token(Some(repo))?)?))),
            Some(spec) => Ok(Some(Box::new(Directory::open(Path::new(&spec))?))),
        }
    }

    /// Whether the options themselves name a destination.
    pub(crate) fn is_named(&self) -> bool {
        self.to.is_some()
    }

    /// The server that the options or the settings name; a directory cannot answer what is asked.
    pub(crate) fn server(&self, repo: Option<&Repo>) -> anyhow::Result<Server> {
        let spec = self.spec(repo);
        let spec =
            spec.context("no server is known: name it with --to URL, or set `remote` in bascule.toml")?;
        if !is_url(&spec) {
            bail!("{spec}: expected a server (http://HOST:7081), found a directory");
        }
        Server::new(&spec, self.token(repo)?)
    }

    /// The server for a verb that needs no repository when the server is named.
    pub(crate) fn server_of(&self, context: &Context) -> anyhow::Result<Server> {
        match Repo::open(&context.repo) {
            Err(error) if !self.is_named() => bail!("{error:#}; or name a server with --to URL"),
            repo => self.server(repo.as_ref().ok()),
        }
    }

    fn spec(&self, repo: Option<&Repo>) -> Option<String> {
        self.to.clone().or_else(|| repo.and_then(|repo| repo.config().remote.clone()))
    }

    fn token(&self, repo: Option<&Repo>) -> anyhow::Result<Option<Token>> {
        if let Some(file) = &self.token_file {
            return Token::read(file).map(Some);
        }
        if let Ok(text) = std::env::var(TOKEN_VARIABLE) {
            return Token::new(&text, TOKEN_VARIABLE).map(Some);
        }
        let configured =
            repo.and_then(|repo| repo.config().token_file.as_ref().map(|file| repo.dir().join(file)));
        configured.map(|file| Token::read(&file)).transpose()
    }
}

fn is_url(spec: &str) -> bool {
    spec.contains("://")
}

/// A bearer token, and where it came from. Its `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Token {
    text: String,
    /// For error texts.
    origin: String,
}

impl Token {
    fn new(text: &str, origin: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("{origin}: expected a token of printable characters without spaces");
        }
        Ok(Self { text: text.to_owned(), origin: origin.to_owned() })
    }

    fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read_limited(path, TOKEN_MAX).context("read the server's token")?;
        Self::new(&String::from_utf8_lossy(&bytes), &path.display().to_string())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(from {})", self.origin)
    }
}
