//! `imgtool trust status`: every role's version, end, threshold and keys; what needs attention.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::Serialize;
use signing::client::{Client, load_all, refresh};
use signing::metadata::RoleMetadata as _;
use signing::repo::{Lifetimes, Repository as Model, Section};
use signing::{Fetch, KeyId, UnixTime};

use crate::clock;
use crate::context::Context;
use crate::destination::To;
use crate::keys::{self, KeyRing, KeyRole};
use crate::pull::trusted;
use crate::repo::Repo;
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool trust status
  imgtool trust status --to http://boot.example:7081       what is published, not what is here
  imgtool trust status --fail-within 14 --json             for monitoring: exit code 1 when something ends soon";

const SECONDS_PER_DAY: i64 = 86_400;
/// A role that lasts for years needs attention when less than this is left, in days: `imgtool renew` renews it from then on.
const ATTENTION_DAYS: i64 = 60;
/// How long a server signs snapshot and timestamp for, in days.
const ONLINE: (i64, i64) = (7, 1);

/// Show every role's version, expiry, threshold and keys, and which keys can sign here
///
/// The exit code is 1 if something has expired.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    to: To,

    /// Exit code 1 also if something expires within so many days; or, where a server signs for a day or a week, if less than a
    /// quarter of that is left
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    fail_within: u32,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Where it was read.
    from: String,
    roles: Vec<Row>,
    /// What needs attention.
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    role: KeyRole,
    version: u64,
    expires: UnixTime,
    days_left: i64,
    #[serde(skip)]
    hours_left: i64,
    state: State,
    /// Whether a server signs it anew by itself.
    online: bool,
    threshold: u32,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// Less than a quarter of its life is left, or 60 days.
    Soon,
    Expired,
    /// Signed by a server that was not asked: this is what was last heard of it. `--to` asks.
    Heard,
}

#[derive(Debug, Serialize)]
struct Key {
    keyid: KeyId,
    label: Option<String>,
    /// What can sign with it here.
    here: Option<String>,
}

/// Metadata, wherever it was read.
struct Found {
    from: String,
    model: Model,
    /// Version and end of each role.
    ends: BTreeMap<KeyRole, (u64, UnixTime)>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let now = clock::now()?;
    let found = if args.to.is_named() { there(args, &repo)? } else { here(&repo)? };
    let ring = repo.keys(&context.passphrases);
    let online = !ring.completes(&found.model)?;
    let rows = KeyRole::ALL.into_iter().filter_map(|role| row(role, &found, &ring, online, now).transpose());
    let mut roles: Vec<Row> = rows.collect::<anyhow::Result<_>>()?;
    if !args.to.is_named() {
        // A server signs these again and again; the copy here is as old as the last command that asked it.
        roles.iter_mut().filter(|row| row.online).for_each(|row| row.state = State::Heard);
    }
    let report = Report { from: found.from, warnings: warnings(&roles), roles };
    context.ui.show(&report, text)?;
    let limit = now.plus_days(args.fail_within.into());
    let late = |row: &&Row| match row.state {
        State::Expired => true,
        State::Heard => false,
        State::Soon if row.online => args.fail_within > 0,
        _ => !row.online && row.expires <= limit,
    };
    let late: Vec<String> = report.roles.iter().filter(late).map(|row| row.role.to_string()).collect();
    if !late.is_empty() {
        let when = if report.roles.iter().any(|row| row.state == State::Expired) {
            "has expired".to_owned()
        } else {
            format!("expires within {} days", args.fail_within)
        };
        bail!("{when}: {}", late.join(", "));
    }
    Ok(())
}

/// What this repository says.
fn here(repo: &Repo) -> anyhow::Result<Found> {
    let store = repo.store()?;
    let (model, view) = (repo.model(&store)?, repo.view(&store)?);
    let end = |role: KeyRole| {
        let name = role.role().as_str();
        Some((role, (*view.versions.get(name)?, *view.expiries.get(name)?)))
    };
    let ends = KeyRole::ALL.into_iter().filter_map(end).collect();
    Ok(Found { from: repo.dir().display().to_string(), model, ends })
}

/// What is published, verified as a node verifies it. That it has expired is told, not refused.
fn there(args: &Args, repo: &Repo) -> anyhow::Result<Found> {
    let destination = args.to.open(repo)?.context("expected --to URL or a directory")?;
    let source = destination.source()?;
    let what = || format!("look at the metadata of {}", destination.name());
    let mut client = Client::new(trusted(repo, &repo.store()?)?, UnixTime(0)).with_context(what)?;
    let mut fetch = |wanted: &Fetch| source.metadata(&wanted.name, wanted.max_len);
    refresh(&mut client, &mut fetch).map_err(flat).with_context(what)?;
    load_all(&mut client, &mut fetch).map_err(flat).with_context(what)?;
    let moving = [
        (KeyRole::Snapshot, client.snapshot().map(|role| (role.version(), role.expires()))),
        (KeyRole::Timestamp, client.timestamp().map(|role| (role.version(), role.expires()))),
    ];
    let model = Model::load(client.proof().with_context(what)?, Lifetimes::default()).with_context(what)?;
    let mut ends: BTreeMap<KeyRole, (u64, UnixTime)> =
        moving.into_iter().filter_map(|(role, end)| Some((role, end?))).collect();
    ends.insert(KeyRole::Root, (model.root().version, model.root().expires));
    for section in [Section::Targets, Section::Releases, Section::Pins] {
        let content = model.section(section);
        ends.insert(section.into(), (content.version, content.expires));
    }
    Ok(Found { from: destination.name().to_owned(), model, ends })
}

fn flat(error: signing::RefreshError<anyhow::Error>) -> anyhow::Error {
    match error {
        signing::RefreshError::Fetch { name, source } => source.context(format!("fetch {name}")),
        signing::RefreshError::Trust(error) => error.into(),
    }
}

fn row(
    role: KeyRole,
    found: &Found,
    ring: &KeyRing,
    online: bool,
    now: UnixTime,
) -> anyhow::Result<Option<Row>> {
    // Before the first commit of a server that signs them there is no snapshot and no timestamp.
    let Some((version, expires)) = found.ends.get(&role).copied() else { return Ok(None) };
    let (present, names) = (ring.present(role)?, ring.names()?);
    let rules = keys::rules(&found.model, role).with_context(|| format!("there is no role {role}"))?;
    let key = |keyid: &KeyId| {
        let here = present.iter().find(|key| key.public.as_ref().is_ok_and(|public| public.id() == *keyid));
        Key {
            keyid: keyid.clone(),
            label: names.iter().find(|(known, _)| known == keyid).map(|(_, name)| name.clone()),
            here: here.map(|key| key.place.clone()),
        }
    };
    let left = expires.0.saturating_sub(now.0);
    let state = match left {
        ..=0 => State::Expired,
        left if left < attention(role, online) => State::Soon,
        _ => State::Good,
    };
    Ok(Some(Row {
        role,
        version,
        expires,
        days_left: left / SECONDS_PER_DAY,
        hours_left: left / 3600,
        state,
        online: online && matches!(role, KeyRole::Snapshot | KeyRole::Timestamp),
        threshold: rules.threshold,
        keys: sorted(rules.keyids.iter().map(key).collect()),
    }))
}

/// By name, those without one last.
fn sorted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_by_key(|key| (key.label.is_none(), key.label.clone(), key.keyid.clone()));
    keys
}

/// When a role needs attention, in seconds before its end.
fn attention(role: KeyRole, online: bool) -> i64 {
    let life = Lifetimes::default();
    let days = match role {
        KeyRole::Root => life.root,
        KeyRole::Targets => life.targets,
        KeyRole::Releases | KeyRole::Pins => life.delegated,
        KeyRole::Snapshot if online => ONLINE.0,
        KeyRole::Timestamp if online => ONLINE.1,
        KeyRole::Snapshot => life.snapshot,
        KeyRole::Timestamp => life.timestamp,
    };
    (days * SECONDS_PER_DAY / 4).min(ATTENTION_DAYS * SECONDS_PER_DAY)
}

fn warnings(rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    for row in rows {
        let Row { role, expires, .. } = row;
        match row.state {
            State::Good | State::Heard => {}
            State::Soon => warnings.push(format!("{role} expires soon: {expires}")),
            State::Expired => warnings.push(format!("{role} has expired: {expires}; nodes take no update")),
        }
        if matches!(role, KeyRole::Root | KeyRole::Targets) && row.keys.len() as u64 <= row.threshold.into() {
            warnings.push(format!(
                "{role}: all {} keys are needed; who loses one can never change it again",
                row.keys.len()
            ));
        }
        let elsewhere = |key: &Key| {
            rows.iter()
                .any(|other| other.role != *role && other.keys.iter().any(|known| known.keyid == key.keyid))
        };
        if let Some(key) = row.keys.iter().find(|key| elsewhere(key)) {
            warnings.push(format!("{role}: key {} signs for other roles too", key.keyid));
        }
    }
    warnings
}

fn text(report: &Report) -> String {
    let mut table = Table::new(["ROLE", ">VERSION", "VALID UNTIL", "", "SIGNED BY", "CAN SIGN HERE"]);
    for row in &report.roles {
        let time = match row.days_left.abs() {
            0 | 1 => format!("{} hours", row.hours_left.abs()),
            days => format!("{days} days"),
        };
        let time = match row.state {
            State::Good => good(time),
            State::Soon => warn(time),
            State::Expired => bad(format!("{time} ago")),
            State::Heard => dim("ask with --to"),
        };
        let here = row.keys.iter().filter(|key| key.here.is_some()).count();
        let enough = usize::try_from(row.threshold).is_ok_and(|threshold| here >= threshold);
        let can = match here {
            0 if row.online => dim("the server does"),
            0 => dim("no"),
            _ if enough => good("yes"),
            here => format!("{here} of {}", row.threshold),
        };
        let by = format!("{} of {}", row.threshold, row.keys.len());
        table.row([row.role.to_string(), row.version.to_string(), row.expires.to_string(), time, by, can]);
    }
    let mut keys = Table::new(["ROLE", "KEY", "KEY ID", "WHERE"]);
    for row in &report.roles {
        for key in &row.keys {
            let place = key.here.clone().unwrap_or_else(|| dim("elsewhere"));
            let label = key.label.clone().unwrap_or_default();
            keys.row([row.role.to_string(), label, key.keyid.to_string(), place]);
        }
    }
    let warnings: String =
        report.warnings.iter().map(|text| format!("{}: {text}\n", warn("warning"))).collect();
    let gap = if warnings.is_empty() { "" } else { "\n" };
    format!("{}\n\n{}\n{}{gap}{warnings}", strong(&report.from), table.render(), keys.render())
}
