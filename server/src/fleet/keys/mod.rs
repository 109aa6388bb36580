//! The keys of one node: which is approved, which wait, and what their messages' numbers say. Pure.
//!
//! ```text
//! none ─ first signed message ─▶ pending ─ admin or join token ─▶ approved ─ revoke ─▶ revoked ─ another key ─▶ pending
//! ```
//! Once a key is approved, no other key's word counts for the node: a wiped state partition, a replaced disk and a liar look the
//! same from here, so the new key waits for the admin, and the old one stays what it was.
//!
//! Which keys are revoked is not kept here but in one list for all nodes ([`super::revoked`]): forgetting a node does not make
//! its stolen key good again.

mod numbers;
mod refusal;

use fleet_protocol::identity::{BootId, NodePublicKey};
use fleet_protocol::node::{EnrolmentState, ReportTrust};
use image_format::{Group, NodeId};
use serde::{Deserialize, Serialize};
use signing::UnixTime;

pub use self::numbers::{Misuse, Numbers};
pub use self::refusal::{Fault, Refusal};

/// Most keys that wait at one node; the one that was silent longest goes.
pub const PENDING_MAX: usize = 4;
/// Longest note, in characters: part of it comes from the node.
const NOTE_MAX: usize = 200;

/// The keys of a node, as JSON in its record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The approved one.
    pub approved: Option<Key>,
    /// Those that wait, the one seen last first.
    pub pending: Vec<Key>,
    /// The group of the join token that approved the node.
    pub group: Option<Group>,
    /// What looked like two machines with one key; cleared by the next approval.
    pub used_twice: Option<String>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key.
    pub key: NodePublicKey,
    /// Seen first, or approved.
    pub since: UnixTime,
    /// Last message accepted.
    pub last_used: UnixTime,
    /// Who approved it, or why it waits.
    pub note: String,
    /// The numbers of its messages.
    pub numbers: Numbers,
}

/// A message whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whose signature.
    pub key: NodePublicKey,
    /// Its number.
    pub number: u64,
    /// The boot that it comes from.
    pub boot: BootId,
    /// A digest of what was signed, to tell a repetition from a fork.
    pub digest: u64,
    /// Why the node has this key, in its own words.
    pub reason: String,
}

impl Message {
    /// A message that signed `payload`.
    pub fn of(key: NodePublicKey, number: u64, boot: BootId, payload: &[u8]) -> Self {
        let hash = blake3::hash(payload);
        let digest = hash.as_bytes().first_chunk().map_or(0, |start| u64::from_le_bytes(*start));
        Self { key, number, boot, digest, reason: String::new() }
    }
}

/// What is known of a message's key outside this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// When and why the message's key was revoked.
    pub revoked: Option<String>,
    /// Whether this node's approved key was revoked.
    pub approved_revoked: bool,
    /// Another node with the message's key.
    pub elsewhere: Option<NodeId>,
}

/// What an accepted message's key is for the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The approved one.
    Approved,
    /// The node has no approved key: this one waits.
    Pending,
    /// It waits beside another one, for this reason.
    Rival(Fault),
}

impl Keys {
    /// Judges a signed message and notes its number. The key of one that is not known yet is kept as pending. Signs of two machines
    /// mark the node; with the approved key they are refused as well.
    ///
    /// # Errors
    /// [`Fault`]: revoked, replayed, or signs of two machines.
    pub fn judge(&mut self, message: &Message, known: &Known, now: UnixTime) -> Result<Standing, Fault> {
        if let Some(when) = &known.revoked {
            let what = format!("key {} was revoked {when}", message.key.short());
            return Err(Fault::new(Refusal::RevokedKey, what));
        }
        let approved = self.approved.as_mut().filter(|_| !known.approved_revoked);
        if let Some(own) = approved.filter(|own| own.key == message.key) {
            let used = own.accept(message, now);
            return used.map(|()| Standing::Approved).map_err(|misuse| self.misused(message, misuse));
        }
        let rival = self.rival(message, known);
        let note = rival.as_ref().map_or("waits for approval", |fault| fault.message.as_str());
        let waiting = self.pending.iter().find(|waiting| waiting.key == message.key);
        let note = match waiting.filter(|waiting| message.reason.is_empty() && waiting.note.starts_with(note))
        {
            // Reports give no reason: the one of the enrolment stays.
            Some(waiting) => waiting.note.clone(),
            None if message.reason.is_empty() => note.to_owned(),
            None => format!("{note}: {}", message.reason),
        };
        let used = self.candidate(message.key, &note, now).accept(message, now);
        if let Err(misuse) = used {
            let fault = self.misused(message, misuse);
            if fault.refusal != Refusal::KeyUsedTwice {
                return Err(fault);
            }
            // Nobody relies on this key yet: the mark stands for the admin to see, and a machine with a restored disk is heard.
            self.pending[0].numbers = Numbers::default();
            let anew = self.pending[0].accept(message, now);
            anew.map_err(|_| fault)?;
        }
        if let Some(fault) = &rival
            && fault.refusal == Refusal::KeyUsedTwice
        {
            self.used_twice = Some(fault.message.clone());
        }
        Ok(rival.map_or(Standing::Pending, Standing::Rival))
    }

    /// Why a key that is not the approved one cannot speak for the node.
    fn rival(&self, message: &Message, known: &Known) -> Option<Fault> {
        if let Some(other) = &known.elsewhere {
            let what = format!(
                "key {} is also that of node {other}: copied, or a disk that moved",
                message.key.short()
            );
            return Some(Fault::new(Refusal::KeyUsedTwice, what));
        }
        let own = self.approved.as_ref().filter(|_| !known.approved_revoked)?;
        let what = format!("a new key; the approved one is {}", own.key.short());
        Some(Fault::new(Refusal::OtherKey, what))
    }

    /// The waiting key, made when it is new, at the front.
    fn candidate(&mut self, key: NodePublicKey, note: &str, now: UnixTime) -> &mut Key {
        let at = self.pending.iter().position(|waiting| waiting.key == key);
        let mut found = at.map(|at| self.pending.remove(at)).unwrap_or_else(|| Key::new(key, now));
        found.note = note.chars().take(NOTE_MAX).filter(|c| !c.is_control()).collect();
        self.pending.truncate(PENDING_MAX - 1);
        self.pending.insert(0, found);
        &mut self.pending[0]
    }

    fn misused(&mut self, message: &Message, misuse: Misuse) -> Fault {
        let fault = Fault::of_number(message, &misuse);
        if fault.refusal == Refusal::KeyUsedTwice {
            self.used_twice = Some(fault.message.clone());
        }
        fault
    }

    /// Approves a waiting key, or clears the suspicion on the approved one. False when the node has no such key.
    pub fn approve(&mut self, key: &NodePublicKey, note: &str, now: UnixTime) -> bool {
        match self.pending.iter().position(|waiting| waiting.key == *key) {
            Some(at) => {
                let waiting = self.pending.remove(at);
                self.approved = Some(Key { since: now, note: note.to_owned(), ..waiting });
            }
            None if self.approved.as_ref().is_some_and(|own| own.key == *key) => {}
            None => return false,
        }
        self.used_twice = None;
        true
    }

    /// All keys: the approved one first.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        self.approved.iter().chain(&self.pending)
    }

    /// The state in one word, with what says whether a key is revoked.
    pub fn state(&self, revoked: impl Fn(&NodePublicKey) -> bool) -> EnrolmentState {
        let waiting = self.pending.iter().find(|key| !revoked(&key.key));
        let approved = self.approved.as_ref().filter(|key| !revoked(&key.key));
        match (approved, waiting) {
            // The machine speaks with another key now: somebody has to look.
            (Some(own), Some(other)) if other.last_used >= own.last_used => EnrolmentState::Pending,
            (Some(_), _) => EnrolmentState::Approved,
            (None, Some(_)) => EnrolmentState::Pending,
            (None, None) if self.all().next().is_some() => EnrolmentState::Revoked,
            (None, None) => EnrolmentState::None,
        }
    }
}

impl Key {
    fn new(key: NodePublicKey, now: UnixTime) -> Self {
        Self { key, since: now, last_used: now, note: String::new(), numbers: Numbers::default() }
    }

    fn accept(&mut self, message: &Message, now: UnixTime) -> Result<(), Misuse> {
        self.numbers.accept(message.number, message.digest, &message.boot)?;
        self.last_used = self.last_used.max(now);
        Ok(())
    }
}

impl Standing {
    /// How far a report can be believed; an error when it does not speak for the node at all.
    ///
    /// # Errors
    /// The fault of [`Standing::Rival`].
    pub fn trust(self) -> Result<ReportTrust, Fault> {
        match self {
            Self::Approved => Ok(ReportTrust::Approved),
            Self::Pending => Ok(ReportTrust::Pending),
            Self::Rival(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests;
