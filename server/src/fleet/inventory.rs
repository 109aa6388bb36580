//! The inventory of nodes.
//!
//! Boot requests come in storms and must be answered at once, so they are *noted* in memory and written together by
//! [`Inventory::flush`]; reports are written before they are acknowledged. A power cut loses at most the noted sightings.
//!
//! Caps: [`NODES_MAX`] nodes in all; the bounds of [`super::record`] per node. Nodes that signed assignments name always have
//! room: their number is the admin's.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleet_protocol::Report;
use fleet_protocol::identity::NodePublicKey;
use fleet_protocol::node::{EnrolmentState, ReportTrust};
use image_format::NodeId;
use signing::UnixTime;

use super::kv::{Change, Kv, KvError};
use super::limit::Limiter;
use super::record::{NodeRecord, RECORD_VERSION};
use super::revoked::Revoked;
use super::tokens::Tokens;

/// Most nodes kept, unless they are assigned: anybody on the network can invent MAC addresses.
pub const NODES_MAX: usize = 200_000;
/// Most sightings noted between two flushes.
const NOTED_MAX: usize = 20_000;
/// Attempts to write a record that others write, too.
const SWAP_TRIES: usize = 8;

const PREFIX: &str = "node/";

/// See the module.
#[derive(Debug)]
pub struct Inventory {
    pub(super) kv: Arc<dyn Kv>,
    index: Mutex<Index>,
    noted: Mutex<BTreeMap<NodeId, Sighting>>,
    /// Keys that never count again.
    pub(super) revoked: Revoked,
    /// Join tokens.
    pub tokens: Tokens,
    /// How often one address may ask to enrol.
    pub limiter: Limiter,
}

/// What is needed of every node without a look into the database: the cap, the metrics, who has which key.
#[derive(Debug, Default)]
struct Index {
    nodes: HashMap<NodeId, Summary>,
    holders: HashMap<NodePublicKey, Vec<NodeId>>,
}

/// A node in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Health as a word.
    pub health: &'static str,
    /// What its key is.
    pub state: EnrolmentState,
    /// Whether the key seems to be used by two machines.
    pub used_twice: bool,
    keys: Vec<NodePublicKey>,
}

impl Index {
    fn insert(&mut self, node: NodeId, summary: Summary) {
        self.remove(&node);
        for key in &summary.keys {
            self.holders.entry(*key).or_default().push(node.clone());
        }
        self.nodes.insert(node, summary);
    }

    fn remove(&mut self, node: &NodeId) {
        let Some(before) = self.nodes.remove(node) else { return };
        for key in before.keys {
            if let Some(holders) = self.holders.get_mut(&key) {
                holders.retain(|holder| holder != node);
                if holders.is_empty() {
                    self.holders.remove(&key);
                }
            }
        }
    }
}

/// A boot request that is not written yet.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// When.
    pub time: UnixTime,
    /// What the node showed.
    pub identity: BTreeMap<String, String>,
    /// What it was given.
    pub message: String,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The database does not work.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// [`NODES_MAX`].
    #[error("inventory: {NODES_MAX} nodes are known, and this one is not assigned to a group")]
    Full,
    /// Others wrote the record faster, again and again.
    #[error("inventory: record of {0} is written by too many at once")]
    Contended(NodeId),
    /// A newer server wrote it: an older one would lose approvals.
    #[error("inventory: record of {node}: expected version {RECORD_VERSION} or older, found {found}")]
    Newer {
        /// Which record.
        node: NodeId,
        /// Its version.
        found: u32,
    },
}

/// Whether signed assignments name a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They do: it always has room.
    Assigned,
    /// They do not: it counts against the cap.
    Stranger,
}

/// What became of a report without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts: the node has no approved key.
    Counts,
    /// It is only shown: the node has one.
    Claim,
}

impl Inventory {
    /// Loads the summary of what `kv` holds. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn open(kv: Arc<dyn Kv>) -> Result<Self, InventoryError> {
        let revoked = Revoked::open(kv.as_ref())?;
        let mut index = Index::default();
        for (node, record) in read_all(kv.as_ref())? {
            if record.version > RECORD_VERSION {
                return Err(InventoryError::Newer { node, found: record.version });
            }
            index.insert(node, summary(&record, &revoked));
        }
        let tokens = Tokens::new(kv.clone());
        let (index, noted, limiter) = (Mutex::new(index), Mutex::default(), Limiter::default());
        Ok(Self { kv, index, noted, revoked, tokens, limiter })
    }

    /// What is known of `node`. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn get(&self, node: &NodeId) -> Result<Option<NodeRecord>, InventoryError> {
        self.read(node).map(|found| found.map(|(record, _)| record))
    }

    /// All nodes, by id. Blocks.
    ///
    /// # Errors
    /// [`KvError`].
    pub fn all(&self) -> Result<Vec<(NodeId, NodeRecord)>, KvError> {
        read_all(self.kv.as_ref())
    }

    /// Applies a report that nobody signed; durable when it returns. Where a key is approved it changes nothing but the list of
    /// what was claimed. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn report(
        &self,
        report: &Report,
        standing: Standing,
        now: UnixTime,
    ) -> Result<Taken, InventoryError> {
        self.update(&report.node, standing, now, |record, _| {
            if record.keys.approved.is_some() {
                record.claimed(report, now);
                return (Taken::Claim, true);
            }
            record.reported(report.clone(), ReportTrust::Unsigned, now);
            (Taken::Counts, true)
        })
    }

    /// Changes the record of `node`, or makes one. `change` gets it with whether it was there, and says whether to keep the
    /// changed one; it runs again when somebody else was faster. Durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub(super) fn update<T>(
        &self,
        node: &NodeId,
        standing: Standing,
        now: UnixTime,
        mut change: impl FnMut(&mut NodeRecord, bool) -> (T, bool),
    ) -> Result<T, InventoryError> {
        for _ in 0..SWAP_TRIES {
            let found = self.read(node)?;
            let known = found.is_some();
            let (mut record, expected) = found.unwrap_or_else(|| (NodeRecord::new(now), 0));
            let (value, keep) = change(&mut record, known);
            if !keep {
                return Ok(value);
            }
            self.admit(node, standing)?;
            record.version = RECORD_VERSION;
            let change = Change { key: key(node), value: encode(&record), expected };
            if self.kv.put(&[change])?.is_empty() {
                self.indexed(node, &record);
                return Ok(value);
            }
        }
        Err(InventoryError::Contended(node.clone()))
    }

    /// Removes what is known of `node`; false when nothing is. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn forget(&self, node: &NodeId) -> Result<bool, InventoryError> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        for _ in 0..SWAP_TRIES {
            let Some(found) = self.kv.get(&key(node))? else { return Ok(false) };
            if self.kv.delete(&key(node), found.revision)? {
                self.index().remove(node);
                return Ok(true);
            }
        }
        Err(InventoryError::Contended(node.clone()))
    }

    /// Notes a boot request; never blocks, and drops it when too many are waiting.
    pub fn note(&self, node: NodeId, sighting: Sighting) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED_MAX || noted.contains_key(&node) {
            noted.insert(node, sighting);
        }
    }

    /// Writes what was noted. Strangers above the cap are dropped. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`]; what was noted is then lost.
    pub fn flush(&self, standing: impl Fn(&NodeId) -> Standing) -> Result<(), InventoryError> {
        let mut waiting = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in 0..SWAP_TRIES {
            let mut changes = Vec::new();
            let mut changed = HashMap::new();
            for (node, sighting) in &waiting {
                if self.admit(node, standing(node)).is_err() {
                    continue;
                }
                let (mut record, expected) =
                    self.read(node)?.unwrap_or_else(|| (NodeRecord::new(sighting.time), 0));
                record.asked_to_boot(sighting.identity.clone(), &sighting.message, sighting.time);
                record.version = RECORD_VERSION;
                changes.push(Change { key: key(node), value: encode(&record), expected });
                changed.insert(node.clone(), record);
            }
            if changes.is_empty() {
                return Ok(());
            }
            let refused = self.kv.put(&changes)?;
            for (node, record) in changed.iter().filter(|(node, _)| !refused.contains(&key(node))) {
                self.indexed(node, record);
            }
            waiting.retain(|node, _| refused.contains(&key(node)));
        }
        Ok(())
    }

    /// Nodes by health word.
    pub fn by_health(&self) -> BTreeMap<&'static str, u64> {
        // All words stand from the start, so that a gauge goes back to zero.
        let words = ["silent", "pending", "healthy", "unhealthy", "unknown"];
        let mut counts: BTreeMap<_, _> = words.into_iter().map(|word| (word, 0)).collect();
        for summary in self.index().nodes.values() {
            *counts.entry(summary.health).or_default() += 1;
        }
        counts
    }

    /// How many nodes are as `which` says.
    pub fn count(&self, which: impl Fn(&Summary) -> bool) -> u64 {
        self.index().nodes.values().filter(|summary| which(summary)).count() as u64
    }

    /// Another node that has shown `key`.
    pub(super) fn other_holder(&self, key: &NodePublicKey, node: &NodeId) -> Option<NodeId> {
        self.index().holders.get(key)?.iter().find(|holder| *holder != node).cloned()
    }

    /// The record of `node` is now this one.
    pub(super) fn indexed(&self, node: &NodeId, record: &NodeRecord) {
        let summary = summary(record, &self.revoked);
        self.index().insert(node.clone(), summary);
    }

    fn admit(&self, node: &NodeId, standing: Standing) -> Result<(), InventoryError> {
        let index = self.index();
        let room =
            index.nodes.len() < NODES_MAX || standing == Standing::Assigned || index.nodes.contains_key(node);
        if room { Ok(()) } else { Err(InventoryError::Full) }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, node: &NodeId) -> Result<Option<(NodeRecord, u64)>, InventoryError> {
        let Some(found) = self.kv.get(&key(node))? else { return Ok(None) };
        Ok(Some((decode(node.as_str(), &found.value), found.revision)))
    }
}

fn summary(record: &NodeRecord, revoked: &Revoked) -> Summary {
    Summary {
        health: record.health(),
        state: record.keys.state(|key| revoked.contains(key)),
        used_twice: record.keys.used_twice.is_some(),
        keys: record.keys.all().map(|key| key.key).collect(),
    }
}

fn key(node: &NodeId) -> String {
    format!("{PREFIX}{node}")
}

fn encode(record: &NodeRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has string keys and no floats")
}

/// A record that cannot be read counts as empty: the node's next report makes it good, and its key waits for approval again.
fn decode(node: &str, value: &[u8]) -> NodeRecord {
    serde_json::from_slice(value).unwrap_or_else(|error| {
        tracing::warn!(%node, %error, "the inventory's record cannot be read; beginning anew");
        NodeRecord::new(UnixTime(0))
    })
}

fn read_all(kv: &dyn Kv) -> Result<Vec<(NodeId, NodeRecord)>, KvError> {
    let mut found = Vec::new();
    kv.scan(PREFIX, &mut |key, versioned| {
        // We write no other key.
        if let Ok(node) = key[PREFIX.len()..].parse::<NodeId>() {
            let record = decode(node.as_str(), &versioned.value);
            found.push((node, record));
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use fleet_protocol::{Event, Health};

    use super::super::record::tests::report;
    use super::super::sqlite::Sqlite;
    use super::*;

    fn inventory(dir: &std::path::Path) -> Inventory {
        Inventory::open(Arc::new(Sqlite::open(&dir.join("fleet.db")).unwrap())).unwrap()
    }

    fn sighting(time: i64, message: &str) -> Sighting {
        Sighting {
            time: UnixTime(time),
            identity: [("mac".into(), "x".into())].into(),
            message: message.into(),
        }
    }

    #[test]
    fn reports_and_sightings_meet_in_one_record_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = inventory(dir.path());
        let node: NodeId = "n1".parse().unwrap();
        first.note(node.clone(), sighting(10, "given ha@1"));
        first.flush(|_| Standing::Stranger).unwrap();
        let healthy =
            Report { health: Health::Healthy, ..report("n1", Event::Confirmed, "all checks passed") };
        first.report(&healthy, Standing::Stranger, UnixTime(20)).unwrap();
        first.note("n2".parse().unwrap(), sighting(15, "no group"));
        first.flush(|_| Standing::Stranger).unwrap();
        first.flush(|_| Standing::Stranger).unwrap();

        let again = inventory(dir.path());
        let record = again.get(&node).unwrap().unwrap();
        assert_eq!((record.report, record.last_seen), (Some(healthy), UnixTime(20)));
        assert_eq!(record.identity["mac"], "x");
        let events: Vec<&str> = record.events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(events, ["confirmed", "boot-request"]);
        assert_eq!(again.all().unwrap().len(), 2);
        assert_eq!((again.by_health()["healthy"], again.by_health()["silent"]), (1, 1));
    }

    #[test]
    fn a_record_that_cannot_be_read_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Arc::new(Sqlite::open(&dir.path().join("fleet.db")).unwrap());
        kv.put(&[Change { key: "node/n".into(), value: b"{old}".to_vec(), expected: 0 }]).unwrap();
        let inventory = Inventory::open(kv).unwrap();
        inventory.report(&report("n", Event::Booting, "here"), Standing::Stranger, UnixTime(5)).unwrap();
        let all = inventory.all().unwrap();
        assert_eq!((all.len(), all[0].1.last_seen, all[0].1.events.len()), (1, UnixTime(5), 1));
    }

    #[test]
    fn a_record_of_a_newer_server_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Arc::new(Sqlite::open(&dir.path().join("fleet.db")).unwrap());
        let newer = NodeRecord { version: RECORD_VERSION + 1, ..NodeRecord::new(UnixTime(1)) };
        kv.put(&[Change { key: "node/n".into(), value: encode(&newer), expected: 0 }]).unwrap();
        assert!(matches!(Inventory::open(kv), Err(InventoryError::Newer { found: 3, .. })));
    }

    #[test]
    fn two_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = Arc::new(inventory(dir.path()));
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let inventory = inventory.clone();
                scope.spawn(move || {
                    for count in 0..10 {
                        let report = report("n", Event::Failed, &format!("{writer}/{count}"));
                        inventory.report(&report, Standing::Stranger, UnixTime(count)).unwrap();
                    }
                });
            }
        });
        assert_eq!(inventory.get(&"n".parse().unwrap()).unwrap().unwrap().events.len(), 20);
    }

    #[test]
    fn strangers_do_not_fill_the_disk_but_assigned_nodes_have_room() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = inventory(dir.path());
        let empty = summary(&NodeRecord::new(UnixTime(0)), &inventory.revoked);
        let fake = (0..NODES_MAX).map(|n| (format!("x{n}").parse().unwrap(), empty.clone()));
        inventory.index().nodes.extend(fake);
        let stranger = report("new", Event::Alive, "");
        let refused = inventory.report(&stranger, Standing::Stranger, UnixTime(1));
        assert!(matches!(refused, Err(InventoryError::Full)));
        inventory.note("new".parse().unwrap(), sighting(1, ""));
        inventory.flush(|_| Standing::Stranger).unwrap();
        assert_eq!(inventory.get(&stranger.node).unwrap(), None);
        inventory.report(&stranger, Standing::Assigned, UnixTime(1)).unwrap();
        inventory.report(&stranger, Standing::Stranger, UnixTime(2)).unwrap();
    }
}
