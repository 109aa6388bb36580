//! The last step: what enough keys have signed becomes current here, and where it is published.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::Ceremony;
use crate::change::{Change, Push};
use crate::clock;
use crate::context::Context;
use crate::keys::KeyRole;
use crate::proposal::{Examined, ProposalFile, RoleChange, progress};
use crate::ui;

/// Make a proposal current that enough keys have signed, and publish that at once
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The proposal, or copies of it that were signed in different places
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    push: Push,
}

/// Make a proposal of images current here that enough keys have signed; `imgtool publish` brings the images to a server
#[derive(Debug, clap::Args)]
pub(crate) struct LocalArgs {
    /// The proposal, or copies of it that were signed in different places
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    roles: Vec<KeyRole>,
    changes: Vec<RoleChange>,
    published: Option<String>,
}

/// Checks again, and commits here and there.
pub(crate) fn run(ceremony: Ceremony, args: &Args, context: &Context) -> anyhow::Result<()> {
    commit(ceremony, &args.files, Some(&args.push), context)
}

/// Checks again, and commits here: the images must be published before metadata may list them elsewhere.
pub(crate) fn run_locally(ceremony: Ceremony, args: &LocalArgs, context: &Context) -> anyhow::Result<()> {
    commit(ceremony, &args.files, None, context)
}

fn commit(
    ceremony: Ceremony,
    files: &[PathBuf],
    push: Option<&Push>,
    context: &Context,
) -> anyhow::Result<()> {
    let file = read(files)?;
    let change = Change::local(context)?;
    let examined =
        Examined::on(file, change.model().clone(), clock::now()?).context("nothing was changed")?;
    ceremony.check(&examined)?;
    let names = change.keys().names()?;
    if !examined.is_complete() {
        bail!(
            "nothing was changed: signatures are missing\n{}",
            progress(&examined.progress(), &names).trim_end()
        );
    }
    if !context.ui.is_json() {
        ui::print(&examined.words(&names))?;
    }
    let (roles, changes) = (examined.roles(), examined.changes().to_vec());
    let mut change = match push {
        Some(push) => change.towards(push)?,
        None => change,
    };
    let (proposal, documents) = examined.into_parts();
    change.adopt(proposal, documents);
    let done = change.finish()?;
    let report = Report { roles, changes, published: done.destination.clone() };
    context.ui.show(&report, |_| format!("\nCommitted; {}\n", done.text()))
}

fn read(files: &[PathBuf]) -> anyhow::Result<ProposalFile> {
    let mut all = None;
    for path in files {
        let file = ProposalFile::read(path)?;
        match &mut all {
            None => all = Some(file),
            Some(first) => {
                first.merge(&file).with_context(|| format!("read {}", path.display()))?;
            }
        }
    }
    all.context("expected a proposal")
}
