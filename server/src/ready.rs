//! `/readyz`: can this server do its work?

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use signing::UnixTime;

use crate::content::Content;

/// For how long an answer stands: the check writes to the disk, and anybody may ask.
const VALID: Duration = Duration::from_secs(1);

/// The check with its last answer.
#[derive(Debug, Default)]
pub struct Ready {
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Ready {
    /// What is wrong, one line each; empty: ready. Blocks.
    pub fn problems(&self, content: &Content, now: UnixTime) -> Vec<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((time, problems)) = &*last
            && time.elapsed() < VALID
        {
            return problems.clone();
        }
        let problems = check(content, now);
        *last = Some((Instant::now(), problems.clone()));
        problems
    }
}

fn check(content: &Content, now: UnixTime) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = write_probe(content) {
        problems.push(format!("the store cannot be written: {error}"));
    }
    if let Err(error) = std::fs::read_dir(content.store().path().join("objects")) {
        problems.push(format!("the store cannot be read: {error}"));
    }
    let published = content.published();
    problems.extend(published.problem.iter().map(|problem| format!("metadata cannot be loaded: {problem}")));
    for (role, seconds) in published.expires_in(now) {
        // Nodes refuse all of it when any of these is over.
        if seconds <= 0 {
            problems.push(format!("metadata of role {role} expired {} s ago", -seconds));
        }
    }
    problems
}

fn write_probe(content: &Content) -> io::Result<()> {
    let path = content.store().path().join("tmp").join(format!("ready-{}", std::process::id()));
    std::fs::write(&path, b"x")?;
    std::fs::remove_file(path)
}
