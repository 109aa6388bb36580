//! `imgtool key list`: which roles this repository can sign for, and with which keys.

use serde::Serialize;
use signing::KeyId;
use signing::repo::Repository as Model;

use crate::context::Context;
use crate::keys::{self, KeyRing, KeyRole, Present};
use crate::repo::Repo;
use crate::ui::style::{bad, dim, good};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool key list
  imgtool key list --json | jq -r '.[] | select(.present) | .role'";

/// List the roles, their keys, and which of them can sign here
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Debug, Serialize)]
struct Row {
    role: KeyRole,
    /// None: the key file cannot be read.
    keyid: Option<String>,
    /// Name of the key file, for people.
    label: Option<String>,
    /// File, agent or command that signs with it.
    place: Option<String>,
    /// Whether the metadata trusts the key for the role and it can sign here.
    present: bool,
    /// Why it cannot be used.
    problem: Option<String>,
}

pub(crate) fn run(_args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let model = repo.model(&repo.store()?)?;
    let ring = repo.keys(&context.passphrases);
    let mut rows = Vec::new();
    for role in KeyRole::ALL {
        rows.extend(of(role, &model, &ring)?);
    }
    context.ui.show(&rows, |rows| {
        let mut table = Table::new(["ROLE", "KEY", "KEY ID", "STATE"]);
        for row in rows {
            let state = match &row.problem {
                None => good("can sign"),
                Some(problem) if row.place.is_none() => dim(problem),
                Some(problem) => bad(problem),
            };
            let (label, id) = (row.label.clone().unwrap_or_default(), row.keyid.clone().unwrap_or_default());
            table.row([row.role.to_string(), label, id, state]);
        }
        table.render()
    })
}

/// The keys that are here, then those that the role trusts and that are elsewhere.
fn of(role: KeyRole, model: &Model, ring: &KeyRing) -> anyhow::Result<Vec<Row>> {
    let (trusted, names) = (keys::signers(model, role), ring.names()?);
    let named = |id: &KeyId| names.iter().find(|(known, _)| known == id).map(|(_, name)| name.clone());
    let row = |Present { place, label, public }: Present| {
        let (keyid, problem) = match &public {
            Err(error) => (None, Some(format!("{error:#}"))),
            Ok(key) if trusted.contains(&key.id()) => (Some(key.id().to_string()), None),
            Ok(key) => (Some(key.id().to_string()), Some("not the role's key".to_owned())),
        };
        let label = label.or_else(|| named(&public.as_ref().ok()?.id()));
        Row { role, keyid, label, place: Some(place), present: problem.is_none(), problem }
    };
    let mut rows: Vec<Row> = ring.present(role)?.into_iter().map(row).collect();
    for id in trusted {
        if rows.iter().any(|row| row.keyid.as_deref() == Some(id.as_str())) {
            continue;
        }
        let label = named(id);
        let (keyid, problem) = (Some(id.to_string()), Some("no key file".to_owned()));
        rows.push(Row { role, keyid, label, place: None, present: false, problem });
    }
    Ok(rows)
}
