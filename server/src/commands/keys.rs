//! `imgserver keys`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use fleet_protocol::publish::OnlineKeyList;

use crate::online::{KeyDir, public};

/// Arguments of `keys`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the two keys, and print their public halves: `imgtool init --online-keys` lists them in the root.
    New {
        #[command(flatten)]
        data: Data,
        /// One more of each, for a rotation: the server signs with those that the root lists.
        #[arg(long)]
        add: bool,
    },
    /// Print the public halves.
    Show {
        #[command(flatten)]
        data: Data,
    },
}

#[derive(Debug, clap::Args)]
struct Data {
    /// The data directory.
    #[arg(long, value_name = "DIR", env = "BASCULE_DATA")]
    data: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Makes or shows the keys. A running server takes new ones at once.
///
/// # Errors
/// As [`KeyDir`].
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (Action::New { data, .. } | Action::Show { data }) = &args.action;
    let dir = KeyDir::of(&data.data);
    let keys = match &args.action {
        Action::New { add, .. } => dir.make(*add)?,
        Action::Show { .. } => dir.load()?.with_context(|| {
            format!("online keys: none in {}; `imgserver keys new` makes them", dir.path().display())
        })?,
    };
    let list = public(&keys).context("online keys")?;
    let text = if data.json { serde_json::to_string_pretty(&list)? + "\n" } else { text(&list) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn text(list: &OnlineKeyList) -> String {
    list.keys.iter().map(|key| format!("{:<9}  {}\n{}", key.role, key.keyid, key.public_pem)).collect()
}
