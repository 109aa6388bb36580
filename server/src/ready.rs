//! `/readyz`: can this server do its work, and for how long?

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use signing::UnixTime;

use crate::care::{self, Quarantine};
use crate::content::Content;
use crate::content::published::Published;
use crate::online::Online;

/// For how long an answer stands: the check writes to the disk, and anybody may ask.
const VALID: Duration = Duration::from_secs(1);
/// What is signed by people is warned of so many seconds before its end.
const PEOPLE: i64 = 14 * 86_400;
/// What is signed by an admin's machine, with every change.
const MACHINE: i64 = 7 * 86_400;

/// The check with its last answer.
#[derive(Debug, Default)]
pub struct Ready {
    last: Mutex<Option<Look>>,
}

/// What was seen on the disk.
#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    problems: Vec<String>,
    quarantine: Quarantine,
}

/// How it stands, one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// What is wrong; empty: ready.
    pub problems: Vec<String>,
    /// What will be.
    pub warnings: Vec<String>,
}

impl Ready {
    /// How it stands. Blocks.
    pub fn look(&self, content: &Content, online: &Online) -> Readiness {
        let Look { problems, quarantine, .. } = self.look_at_disk(content);
        let mut readiness = Readiness { problems, warnings: quarantine.warning().into_iter().collect() };
        let signing = online.problem();
        let signing = signing.map(|problem| format!("snapshot and timestamp are not signed: {problem}"));
        readiness.problems.extend(signing);
        let lifetimes = online.was_on().then(|| online.plan().lifetimes());
        let lifetimes = lifetimes.map(|lifetimes| (lifetimes.snapshot, lifetimes.timestamp));
        validity(&content.published(), lifetimes, online.now(), &mut readiness);
        readiness
    }

    /// What lies in quarantine. Blocks.
    pub fn quarantine(&self, content: &Content) -> Quarantine {
        self.look_at_disk(content).quarantine
    }

    fn look_at_disk(&self, content: &Content) -> Look {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = last.as_ref().filter(|look| look.at.elapsed() < VALID) {
            return look.clone();
        }
        last.insert(check(content)).clone()
    }
}

fn check(content: &Content) -> Look {
    let mut problems = Vec::new();
    if let Err(error) = write_probe(content) {
        problems.push(format!("the store cannot be written: {error}"));
    }
    if let Err(error) = std::fs::read_dir(content.store().path().join("objects")) {
        problems.push(format!("the store cannot be read: {error}"));
    }
    let quarantine = care::look(content.store()).unwrap_or_else(|error| {
        problems.push(format!("the store cannot be read: {error}"));
        Quarantine::default()
    });
    Look { at: Instant::now(), problems, quarantine }
}

/// `online`: seconds that snapshot and timestamp are valid when they are signed here.
fn validity(published: &Published, online: Option<(i64, i64)>, now: UnixTime, readiness: &mut Readiness) {
    let problem = published.problem.iter().map(|problem| format!("metadata cannot be loaded: {problem}"));
    readiness.problems.extend(problem);
    for (role, seconds) in published.expires_in(now) {
        let early = match (role.as_str(), online) {
            ("snapshot", Some((snapshot, _))) => snapshot / 4,
            ("timestamp", Some((_, timestamp))) => timestamp / 4,
            ("snapshot" | "timestamp", None) => MACHINE,
            _ => PEOPLE,
        };
        // Nodes refuse all of it when any of these is over.
        if seconds <= 0 {
            readiness.problems.push(format!("metadata of role {role} expired {} s ago", -seconds));
        } else if seconds < early {
            readiness.warnings.push(format!("warning: metadata of role {role} expires in {}", span(seconds)));
        }
    }
}

/// Rounded down.
fn span(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7200.. => format!("{} hours", seconds / 3600),
        _ => format!("{seconds} s"),
    }
}

fn write_probe(content: &Content) -> io::Result<()> {
    let path = content.store().path().join("tmp").join(format!("ready-{}", std::process::id()));
    std::fs::write(&path, b"x")?;
    std::fs::remove_file(path)
}
