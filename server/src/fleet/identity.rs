//! Signed messages and admins' decisions, applied to the inventory. All calls block.

use fleet_protocol::Report;
use fleet_protocol::identity::{EnrolAnswer, Joining, NodePublicKey};
use fleet_protocol::node::{Enrolment, EnrolmentState, KEY_PREFIX_MIN, KeyView, ReportTrust};
use image_format::{NodeId, Sha256};
use signing::UnixTime;

use super::inventory::{Inventory, InventoryError, Standing as Room};
use super::keys::{Fault, Key, Known, Message, Refusal, Standing};
use super::record::NodeRecord;
use super::revoked::Revocation;
use super::tokens::JoinRefused;

/// Why an admin's decision about a key cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The inventory.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No such node.
    #[error("node {0} was never seen")]
    UnknownNode(NodeId),
    /// No key, or none that fits.
    #[error("node {0} has shown no such key")]
    NoKey(NodeId),
    /// Too few digits.
    #[error("key: expected at least {KEY_PREFIX_MIN} digits, found {0}")]
    Short(usize),
    /// More than one key fits.
    #[error("node {node} has more than one such key; name one with --key: {keys}")]
    Ambiguous {
        /// Which node.
        node: NodeId,
        /// Their first digits.
        keys: String,
    },
    /// Revoked for ever.
    #[error(
        "key {key} was revoked at {time} and never counts again; the node needs a new one: `imgagent identity --new` on it"
    )]
    Revoked {
        /// First digits.
        key: String,
        /// When.
        time: UnixTime,
    },
    /// The key is another node's.
    #[error(
        "key {key} is also that of node {other}: `imgtool node forget {other}` first, if its disk has moved here"
    )]
    Elsewhere {
        /// First digits.
        key: String,
        /// Whose.
        other: NodeId,
    },
}

impl Inventory {
    /// A report whose signature holds. The inner error says why it does not count; it is noted.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn signed_report(
        &self,
        message: &Message,
        report: &Report,
        room: Room,
        now: UnixTime,
    ) -> Result<Result<ReportTrust, Fault>, InventoryError> {
        let node = &report.node;
        let result = self.judged(node, message, room, now, |record, standing| {
            let trust = standing.trust()?;
            record.reported(report.clone(), trust, now);
            Ok(trust)
        })?;
        self.tell_other(node, message, result.as_ref().err(), now)?;
        Ok(result)
    }

    /// A node shows its key, with a join token or without. The inner error says why not; it is noted.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn enrol(
        &self,
        node: &NodeId,
        message: &Message,
        join: Option<(&Joining, &Sha256)>,
        room: Room,
        now: UnixTime,
    ) -> Result<Result<EnrolAnswer, Fault>, InventoryError> {
        let judged = self.judged(node, message, room, now, |record, standing| {
            if let Standing::Rival(fault) = &standing {
                record.refused(fault, now);
            }
            Ok(standing)
        })?;
        let standing = match judged {
            Ok(standing) => standing,
            Err(fault) => {
                self.tell_other(node, message, Some(&fault), now)?;
                return Ok(Err(fault));
            }
        };
        let answer = |state, message: String| Ok(Ok(EnrolAnswer { state, message }));
        let joining = match (standing, join) {
            (Standing::Approved, _) => {
                return answer(EnrolmentState::Approved, "this key is approved".into());
            }
            (Standing::Rival(fault), _) => {
                self.tell_other(node, message, Some(&fault), now)?;
                let text =
                    format!("{}; an admin has to approve it: imgtool node approve {node}", fault.message);
                return answer(EnrolmentState::Pending, text);
            }
            (Standing::Pending, None) => {
                let text = format!("an admin has to approve it: imgtool node approve {node}");
                return answer(EnrolmentState::Pending, text);
            }
            (Standing::Pending, Some(joining)) => joining,
        };
        let (join, root) = joining;
        let group = match self.tokens.spend(join, root, node, &message.key, now) {
            Ok(group) => group,
            Err(JoinRefused::Kv(error)) => return Err(error.into()),
            Err(refused) => {
                let fault = Fault::new(Refusal::JoinRefused, refused.to_string());
                self.refuse(node, &fault, now)?;
                return Ok(Err(fault));
            }
        };
        let by = format!("join token {}", join.id);
        self.update(node, room, now, |record, _| {
            record.keys.approve(&message.key, &by, now);
            record.keys.group.clone_from(&group);
            record.event("approved".to_owned(), &format!("key {} by {by}", message.key.short()), now);
            ((), true)
        })?;
        answer(EnrolmentState::Approved, format!("approved by {by}"))
    }

    /// Notes at a node that is known that something was refused; of others nothing is kept.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn refuse(&self, node: &NodeId, fault: &Fault, now: UnixTime) -> Result<(), InventoryError> {
        self.update(node, Room::Stranger, now, |record, known| {
            record.refused(fault, now);
            ((), known)
        })
    }

    /// Approves a waiting key of `node`, the only one or the one that `prefix` names.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub fn approve(
        &self,
        node: &NodeId,
        prefix: Option<&str>,
        now: UnixTime,
    ) -> Result<NodeRecord, DecisionError> {
        self.decide(node, now, |inventory, record| {
            let alive = |key: &&Key| !inventory.revoked.contains(&key.key);
            let found = match prefix {
                Some(prefix) => named(node, record.keys.all(), prefix)?,
                None => {
                    let waiting: Vec<&Key> = record.keys.pending.iter().filter(alive).collect();
                    let own = || record.keys.approved.iter().filter(alive).collect();
                    only(node, &if waiting.is_empty() { own() } else { waiting })?
                }
            };
            if let Some(revoked) = inventory.revoked.get(&found) {
                return Err(DecisionError::Revoked { key: found.short(), time: revoked.time });
            }
            if let Some(other) = inventory.other_holder(&found, node) {
                return Err(DecisionError::Elsewhere { key: found.short(), other });
            }
            record.keys.approve(&found, "an admin", now);
            record.event("approved".to_owned(), &format!("key {} by an admin", found.short()), now);
            Ok(())
        })
    }

    /// Revokes all keys of `node`, or the one that `prefix` names, for ever.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub fn revoke(
        &self,
        node: &NodeId,
        prefix: Option<&str>,
        reason: &str,
        now: UnixTime,
    ) -> Result<NodeRecord, DecisionError> {
        self.decide(node, now, |inventory, record| {
            let keys: Vec<NodePublicKey> = match prefix {
                Some(prefix) => vec![named(node, record.keys.all(), prefix)?],
                None => record.keys.all().map(|key| key.key).collect(),
            };
            if keys.is_empty() {
                return Err(DecisionError::NoKey(node.clone()));
            }
            for key in keys {
                let entry = Revocation { node: node.clone(), time: now, reason: reason.to_owned() };
                inventory.revoked.add(inventory.kv.as_ref(), key, entry).map_err(InventoryError::from)?;
                record.event("revoked".to_owned(), &format!("key {}: {reason}", key.short()), now);
            }
            Ok(())
        })
    }

    /// The keys of a node, for the node list.
    pub fn enrolment(&self, record: &NodeRecord) -> Enrolment {
        let keys = &record.keys;
        let view = |key: &Key| KeyView {
            key: key.key,
            since: key.since.to_string(),
            last_used: key.last_used.to_string(),
            number: key.numbers.last(),
            note: key.note.clone(),
            revoked: self.revoked.get(&key.key).map(|revoked| revoked.time.to_string()),
        };
        let state = keys.state(|key| self.revoked.contains(key));
        let waiting = || keys.pending.iter().find(|key| !self.revoked.contains(&key.key));
        let reason = match state {
            EnrolmentState::Pending => waiting().map(|key| key.note.clone()),
            EnrolmentState::Approved => keys.approved.as_ref().map(|key| format!("approved by {}", key.note)),
            EnrolmentState::Revoked => {
                let revoked = keys.all().find_map(|key| self.revoked.get(&key.key));
                revoked.map(|revoked| format!("revoked at {}: {}", revoked.time, revoked.reason))
            }
            EnrolmentState::None | EnrolmentState::Unknown => None,
        };
        Enrolment {
            state,
            reason,
            approved: keys.approved.as_ref().map(view),
            pending: keys.pending.iter().map(view).collect(),
            group: keys.group.clone(),
            report: record.trust,
            used_twice: keys.used_twice.clone(),
            alerts: record.alerts.view(),
        }
    }

    /// Judges a message and lets `then` go on with the record; a fault is noted where the node is known.
    fn judged<T>(
        &self,
        node: &NodeId,
        message: &Message,
        room: Room,
        now: UnixTime,
        then: impl Fn(&mut NodeRecord, Standing) -> Result<T, Fault>,
    ) -> Result<Result<T, Fault>, InventoryError> {
        self.update(node, room, now, |record, known| {
            let outside = self.known(record, node, &message.key);
            let is_new = !record.keys.all().any(|key| key.key == message.key);
            let marked = record.keys.used_twice.clone();
            let result = record.keys.judge(message, &outside, now);
            if let Some(what) = record.keys.used_twice.clone().filter(|_| result == Ok(Standing::Pending))
                && marked.as_ref() != Some(&what)
            {
                record.refused(&Fault::new(Refusal::KeyUsedTwice, what), now);
            }
            if is_new && result.is_ok() {
                let note = record.keys.pending.first().map(|key| key.note.clone()).unwrap_or_default();
                record.event_seldom("new-key", &format!("key {}: {note}", message.key.short()), now);
            }
            let keep = known || result.is_ok();
            let result = result.and_then(|standing| then(record, standing));
            if let Err(fault) = &result {
                record.refused(fault, now);
            }
            (result, keep)
        })
    }

    fn known(&self, record: &NodeRecord, node: &NodeId, key: &NodePublicKey) -> Known {
        let revoked = self.revoked.get(key).map(|revoked| format!("at {}: {}", revoked.time, revoked.reason));
        let approved_revoked =
            record.keys.approved.as_ref().is_some_and(|own| self.revoked.contains(&own.key));
        Known { revoked, approved_revoked, elsewhere: self.other_holder(key, node) }
    }

    /// A key that appears under a second node leaves its mark at the first one, too.
    fn tell_other(
        &self,
        node: &NodeId,
        message: &Message,
        fault: Option<&Fault>,
        now: UnixTime,
    ) -> Result<(), InventoryError> {
        let twice = fault.is_some_and(|fault| fault.refusal == Refusal::KeyUsedTwice);
        let Some(other) = self.other_holder(&message.key, node).filter(|_| twice) else { return Ok(()) };
        let what = format!("node {node} uses key {} as well", message.key.short());
        let fault = Fault::new(Refusal::KeyUsedTwice, what);
        self.update(&other, Room::Stranger, now, |record, known| {
            record.keys.used_twice = Some(fault.message.clone());
            record.refused(&fault, now);
            ((), known)
        })
    }

    fn decide(
        &self,
        node: &NodeId,
        now: UnixTime,
        change: impl Fn(&Self, &mut NodeRecord) -> Result<(), DecisionError>,
    ) -> Result<NodeRecord, DecisionError> {
        self.update(node, Room::Stranger, now, |record, known| {
            if !known {
                return (Err(DecisionError::UnknownNode(node.clone())), false);
            }
            match change(self, record) {
                Ok(()) => (Ok(record.clone()), true),
                Err(error) => (Err(error), false),
            }
        })?
    }
}

fn only(node: &NodeId, keys: &[&Key]) -> Result<NodePublicKey, DecisionError> {
    match keys {
        [] => Err(DecisionError::NoKey(node.clone())),
        [one] => Ok(one.key),
        many => {
            let keys: Vec<String> = many.iter().map(|key| key.key.short()).collect();
            Err(DecisionError::Ambiguous { node: node.clone(), keys: keys.join(", ") })
        }
    }
}

fn named<'k>(
    node: &NodeId,
    keys: impl Iterator<Item = &'k Key>,
    prefix: &str,
) -> Result<NodePublicKey, DecisionError> {
    if prefix.len() < KEY_PREFIX_MIN {
        return Err(DecisionError::Short(prefix.len()));
    }
    let fit: Vec<&Key> = keys.filter(|key| key.key.to_string().starts_with(prefix)).collect();
    only(node, &fit)
}
