//! What the server knows of its own signatures.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use image_format::repository::{CommitError, Committed, Upload};
use signing::UnixTime;
use signing::online::OnlineKeys;
use tokio::sync::{Notify, watch};

use super::{KeyDir, KeyDirError, LastSigned, Plan, Present, Signer, due, listed};
use crate::clock::Clock;
use crate::content::Content;
use crate::http::error::Chain;
use crate::metrics::Metrics;

/// How the server signs.
#[derive(Debug, Clone)]
pub struct OnlineSettings {
    /// How often, and for how long.
    pub plan: Plan,
    /// What time it is.
    pub clock: Clock,
    /// How often to look whether something is due, and to try again what failed.
    pub look: Duration,
}

impl Default for OnlineSettings {
    fn default() -> Self {
        Self { plan: Plan::default(), clock: Clock::default(), look: Duration::from_secs(30) }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Online {
    data: PathBuf,
    keys: KeyDir,
    pub(super) settings: OnlineSettings,
    /// Who signs: what is due is judged by what was signed last.
    turn: Mutex<()>,
    /// Whether there were keys at the last look.
    on: AtomicBool,
    problem: Mutex<Option<String>>,
    pub(super) wake: Notify,
    looks: watch::Sender<u64>,
}

impl Online {
    /// For the keys in `data`. They are read whenever they are needed. Blocks.
    pub fn new(data: &Path, settings: OnlineSettings) -> Self {
        let (turn, problem) = (Mutex::default(), Mutex::default());
        let (wake, (looks, _)) = (Notify::new(), watch::channel(0));
        let keys = KeyDir::of(data);
        let on = AtomicBool::new(!matches!(keys.load(), Ok(None)));
        Self { data: data.to_owned(), keys, settings, turn, on, problem, wake, looks }
    }

    /// The time.
    pub fn now(&self) -> UnixTime {
        self.settings.clock.now()
    }

    /// How often, and for how long.
    pub fn plan(&self) -> &Plan {
        &self.settings.plan
    }

    /// Whether the server signs snapshot and timestamp. Keys that cannot be read count: what is wrong with them is told when they
    /// are used. Blocks.
    pub fn is_on(&self) -> bool {
        !matches!(self.keys.load(), Ok(None))
    }

    /// The same, as it was at the last look, without a look at the disk.
    pub fn was_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Why the last look at what is due failed; none when it went well.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks soon whether something is due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Counts the looks: changes after each one.
    pub fn looks(&self) -> watch::Receiver<u64> {
        self.looks.subscribe()
    }

    /// Publishes; snapshot and timestamp are made here if there are keys. Blocks.
    ///
    /// # Errors
    /// As [`commit_online`](image_format::repository::Repository::commit_online); then nothing changed.
    pub fn commit(
        &self,
        content: &Content,
        upload: Upload,
        metrics: &Metrics,
    ) -> Result<Committed, CommitError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let Some(keys) = self.keys.load().map_err(fault)? else { return content.commit(upload, now) };
        let signer = self.signer(&keys);
        let committed = content.change(|repository| repository.commit_online(upload, &signer, now))?;
        let is_ours = content.published().view.as_ref().is_some_and(|view| listed(&keys, &view.root).is_ok());
        if committed.changed && is_ours {
            self.signed(content, now, metrics);
        }
        // What was refused before may be in order now.
        self.wake();
        Ok(committed)
    }

    /// Signs what is due. What goes wrong is logged, counted and kept for [`Online::problem`]. Blocks.
    pub fn look(&self, content: &Content, metrics: &Metrics) {
        let result = self.sign_due(content, metrics);
        if let Err(reason) = &result {
            tracing::error!(%reason, "snapshot and timestamp are not signed");
            metrics.resign_failed();
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
        self.looks.send_modify(|looks| *looks += 1);
    }

    fn sign_due(&self, content: &Content, metrics: &Metrics) -> Result<(), String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys.load();
        self.on.store(!matches!(keys, Ok(None)), Ordering::Relaxed);
        let keys = keys.map_err(|error| Chain(&error).to_string())?;
        content.reload_if_changed();
        let published = content.published();
        let Some((view, present)) = published.view.as_ref().and_then(|view| Some((view, present(view)?)))
        else {
            return Ok(());
        };
        let Some(keys) = keys else {
            let last = LastSigned::load(&self.data).filter(|last| last.timestamp == present.timestamp);
            return last.map_or(Ok(()), |last| Err(self.gone(&last)));
        };
        listed(&keys, &view.root)?;
        let (signer, now) = (self.signer(&keys), self.now());
        let renewal =
            due(self.plan(), &present, signer.last.as_ref(), now).map_err(|error| error.to_string())?;
        let Some(renewal) = renewal else { return Ok(()) };
        let signed = content.change(|repository| repository.resign(renewal, &signer, now));
        if signed.map_err(|error| Chain(&error).to_string())? {
            self.signed(content, now, metrics);
            tracing::info!(?renewal, "signed anew");
        }
        Ok(())
    }

    /// What is in force was signed here, and the next cannot be.
    fn gone(&self, last: &LastSigned) -> String {
        format!(
            "online keys: {} has none any more, and the timestamp in force (version {}, {}) was signed with one; bring them back, or make new ones (`imgserver keys new`) and list them in the root",
            self.keys.path().display(),
            last.timestamp,
            last.at
        )
    }

    fn signer<'k>(&self, keys: &'k OnlineKeys) -> Signer<'k> {
        Signer { keys, plan: *self.plan(), last: LastSigned::load(&self.data) }
    }

    /// Remembers when what is in force now was signed.
    fn signed(&self, content: &Content, now: UnixTime, metrics: &Metrics) {
        metrics.resigned(now);
        let published = content.published();
        let Some(view) = &published.view else { return };
        let Some(&timestamp) = view.versions.get("timestamp") else { return };
        // Without it the next look signs once more: too often is no fault.
        if let Err(error) = (LastSigned { timestamp, at: now }).save(&self.data) {
            tracing::warn!(%error, "the time of the last signature is not kept");
        }
    }
}

fn fault(error: KeyDirError) -> CommitError {
    image_format::repository::OnlineFault::Failed(error.into()).into()
}

fn present(view: &image_format::repository::View) -> Option<Present> {
    let expires = |role| view.expiries.get(role).copied();
    Some(Present {
        timestamp: view.versions.get("timestamp").copied()?,
        timestamp_expires: expires("timestamp")?,
        snapshot_expires: expires("snapshot")?,
    })
}
