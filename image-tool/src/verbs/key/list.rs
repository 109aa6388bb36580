//! `imgtool key list`: which roles this repository can sign for.

use serde::Serialize;

use crate::context::Context;
use crate::keys::{self, KeyRole};
use crate::repo::Repo;
use crate::ui::style::{bad, dim, good};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool key list
  imgtool key list --json | jq -r '.[] | select(.present) | .role'";

/// List the roles, their keys, and whether this repository holds them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Debug, Serialize)]
struct Row {
    role: KeyRole,
    /// Ids that the metadata trusts for the role.
    trusted: Vec<String>,
    /// Id of the key file, if there is a readable one.
    keyid: Option<String>,
    /// Whether the key file is a trusted key.
    present: bool,
    /// Why the key file cannot be used.
    problem: Option<String>,
}

pub(crate) fn run(_args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let model = repo.model(&repo.store()?)?;
    let rows = KeyRole::ALL.map(|role| {
        let trusted: Vec<String> = keys::signers(&model, role).iter().map(ToString::to_string).collect();
        let path = repo.keys().path(role);
        let loaded = path.exists().then(|| keys::load_secret(&path));
        let keyid =
            loaded.as_ref().and_then(|key| key.as_ref().ok()).map(|key| key.public().id().to_string());
        let problem = match &loaded {
            None => Some("no key file".to_owned()),
            Some(Err(error)) => Some(format!("{error:#}")),
            Some(Ok(_)) if keyid.as_ref().is_some_and(|id| !trusted.contains(id)) => {
                Some("not the role's key".to_owned())
            }
            Some(Ok(_)) => None,
        };
        Row { role, trusted, keyid, present: problem.is_none(), problem }
    });
    context.ui.show(&rows, |rows| {
        let mut table = Table::new(["ROLE", "KEY ID", "STATE"]);
        for row in rows {
            let id = row.keyid.as_ref().or(row.trusted.first()).cloned().unwrap_or_default();
            let state = match &row.problem {
                None => good("can sign"),
                Some(problem) if row.keyid.is_none() => dim(problem),
                Some(problem) => bad(problem),
            };
            table.row([row.role.to_string(), id, state]);
        }
        table.render()
    })
}
