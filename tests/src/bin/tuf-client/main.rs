//! `tuf-client`: the verifier behind the command line that the public TUF conformance suite drives.
//!
//! It is not a client of its own: it reads and writes files, fetches, and leaves every decision to the same
//! [`signing::client`] that runs in the agent. Exit code 0, or 1 when anything is refused or fails.

mod arguments;
mod download;
mod fetch;
mod store;

use std::process::ExitCode;

use anyhow::{Context, Result};
use signing::{Client, TrustedFiles, UnixTime, refresh};

use crate::arguments::{Arguments, Verb};
use crate::fetch::Source;
use crate::store::Store;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args_os().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tuf-client: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let store = Store::at(&arguments.metadata_dir);
    match &arguments.verb {
        Verb::Init { root } => {
            let root = std::fs::read(root).with_context(|| format!("read {}", root.display()))?;
            store.save(Client::new(TrustedFiles::from_root(root), now()?)?.trusted())
        }
        Verb::Refresh { metadata } => update(&store, metadata, |_| Ok(())),
        Verb::Download { metadata, wanted } => {
            update(&store, metadata, |client| download::all(client, metadata, wanted))
        }
    }
}

/// Refreshes, goes on with `then`, and keeps what was verified whether that failed or not.
fn update(store: &Store, metadata: &Source, then: impl FnOnce(&mut Client) -> Result<()>) -> Result<()> {
    let mut client = Client::new(store.load()?, now()?)?;
    let refreshed = refresh(&mut client, |wanted| metadata.metadata(wanted)).map_err(anyhow::Error::new);
    let outcome = refreshed.and_then(|()| then(&mut client));
    store.save(client.trusted())?;
    outcome
}

fn now() -> Result<UnixTime> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(UnixTime(i64::try_from(since.as_secs())?))
}
