//! Telling the server what happens. A report is a courtesy to people: it never holds up a boot and its failure is no failure.

use std::time::Duration;

use fleet_protocol::report::{Quarantined, SlotReport};
use fleet_protocol::{Event, Health, Report, SlotStateName};
use image_format::record::{ImageRef, Record};
use image_format::state::SlotState;
use image_format::{Group, NodeId, Slot};

use crate::http::{BaseUrl, Client, HttpError, Limits};
use crate::identity::Identity;
use crate::say;

/// Time that one report may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Longest message, in characters.
const MESSAGE_MAX: usize = 500;

/// What is running or about to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// The node's group, once known.
    pub group: Option<Group>,
    /// The slot.
    pub slot: Option<Slot>,
    /// The image in it.
    pub image: Option<ImageRef>,
    /// Which attempt of a trial.
    pub attempt: Option<u8>,
    /// Stored bytes fetched for the last installation.
    pub fetched_bytes: Option<u64>,
}

/// Sends reports of one node to the admin listener.
#[derive(Debug)]
pub struct Reporter {
    client: Option<Client>,
    node: NodeId,
    kernel: String,
    identity: Option<Identity>,
    answered: bool,
}

impl Reporter {
    /// A reporter; without an address it stays silent.
    pub fn new(admin: Option<BaseUrl>, node: NodeId) -> Self {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        Self { client: admin.map(Client::new), node, kernel, identity: None, answered: true }
    }

    /// Signs from now on, with the newest identity; without one reports go unsigned.
    pub fn sign_with(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Whether the server answered when it was told something last; true before.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Sends a report. False, after a line on the console, when the server did not take it.
    pub fn send(
        &mut self,
        event: Event,
        health: Health,
        message: &str,
        running: &Running,
        record: &Record,
    ) -> bool {
        let Some(client) = &mut self.client else { return false };
        let report = Report {
            node: self.node.clone(),
            group: running.group.clone(),
            event,
            message: message.chars().take(MESSAGE_MAX).collect(),
            slot: running.slot,
            image: running.image.as_ref().map(|image| image.name.clone()),
            manifest: running.image.as_ref().map(|image| image.manifest),
            attempt: running.attempt,
            health,
            slots: slots(record),
            quarantine: quarantine(record),
            fetched_bytes: running.fetched_bytes,
            kernel: self.kernel.clone(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let (path, limits) = (format!("/v1/nodes/{}/report", self.node), Limits::brief(LIMIT));
        let sent = match signed(self.identity.as_mut(), &report) {
            Some(message) => client.post_signed(&path, &message, &limits).map(drop),
            None => {
                let Ok(json) = serde_json::to_vec(&report) else { return false };
                client.post_json(&path, &json, &limits).map(drop)
            }
        };
        // A refusal is an answer, too.
        self.answered = matches!(sent, Ok(()) | Err(HttpError::Status { .. }));
        match sent {
            Ok(()) => true,
            Err(error) => {
                if let (HttpError::Status { status: 403, .. }, Some(identity)) = (&error, &self.identity) {
                    identity.doubt();
                }
                let error = anyhow::Error::new(error);
                say!("report {event:?} to {}: {error:#}; going on without", client.base());
                false
            }
        }
    }
}

/// The report under the node's signature; none, after a line on the console, where there is no key.
fn signed(identity: Option<&mut Identity>, report: &Report) -> Option<Vec<u8>> {
    let Some(identity) = identity else {
        say!("report {:?}: not signed: the state partition with the node's key is not there", report.event);
        return None;
    };
    match identity.report(report) {
        Ok(message) => Some(message),
        Err(error) => {
            say!("report {:?}: not signed: {:#}", report.event, anyhow::Error::new(error));
            None
        }
    }
}

/// Both slots as reports name them.
pub fn slots(record: &Record) -> Vec<SlotReport> {
    let report = |slot| {
        let state = record.state.slot(slot);
        SlotReport { slot, state: state_name(state), image: state.image().map(|image| image.name.clone()) }
    };
    Slot::ALL.map(report).to_vec()
}

fn state_name(state: &SlotState) -> SlotStateName {
    match state {
        SlotState::Empty => SlotStateName::Empty,
        SlotState::Writing { .. } => SlotStateName::Writing,
        SlotState::Trial { .. } => SlotStateName::Trial,
        SlotState::Confirmed { .. } => SlotStateName::Confirmed,
        SlotState::Bad { .. } => SlotStateName::Bad,
    }
}

/// The quarantine as reports name it.
pub fn quarantine(record: &Record) -> Vec<Quarantined> {
    let report = |entry: &image_format::state::Quarantined| Quarantined {
        image: entry.image.name.clone(),
        manifest: entry.image.manifest,
        reason: entry.reason.clone(),
    };
    record.state.quarantine().map(report).collect()
}
