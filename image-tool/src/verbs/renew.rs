//! `imgtool renew`: new dates for signed metadata.

use serde::Serialize;
use signing::UnixTime;

use crate::change::{Change, Push};
use crate::clock;
use crate::context::Context;
use crate::keys;
use crate::repo::Repo;
use crate::ui::style::{dim, strong};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool renew                   for instance weekly, from a timer
  imgtool renew --no-publish";

/// A role that is signed for years is signed anew when less than this is left, in days.
const RENEW_DAYS: i64 = 60;

/// Sign metadata anew before it expires, and publish that at once
///
/// The timestamp is valid for 30 days, unless a server signs it: then it does so every hour, and here only the roles are renewed that
/// people sign. Nodes go on running and booting what they have when anything is over, but take no update. Every sign, pin or assign
/// renews the timestamp too.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Report {
    roles: Vec<Row>,
    published: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    role: String,
    version: u64,
    expires: UnixTime,
    /// Whether it was signed now.
    renewed: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::pushed(context, &args.push)?;
    let before = change.view.versions.clone();
    for role in change.renew(clock::now()?.plus_days(RENEW_DAYS))? {
        let verb = keys::ceremony(role);
        context.ui.warn(&format!(
            "{role} metadata ends within {RENEW_DAYS} days, and its keys are not here: imgtool {verb} prepare --renew"
        ));
    }
    let done = change.finish()?;
    let repo = Repo::open(&context.repo)?;
    let view = repo.view(&repo.store()?)?;
    let row = |(role, expires): (&String, &UnixTime)| {
        let version = view.versions.get(role).copied().unwrap_or_default();
        Row { role: role.clone(), version, expires: *expires, renewed: before.get(role) != Some(&version) }
    };
    let roles = view.expiries.iter().map(row).collect();
    context.ui.show(&Report { roles, published: done.destination.clone() }, |report| {
        let mut table = Table::new(["ROLE", ">VERSION", "VALID UNTIL", ""]);
        for row in &report.roles {
            let state = if row.renewed { strong("renewed") } else { dim("long enough") };
            table.row([row.role.clone(), row.version.to_string(), row.expires.to_string(), state]);
        }
        format!("{}{}\n", table.render(), done.text())
    })
}
