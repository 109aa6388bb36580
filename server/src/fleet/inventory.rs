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
use image_format::NodeId;
use signing::UnixTime;

use super::kv::{Change, Kv, KvError};
use super::record::NodeRecord;

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
    kv: Arc<dyn Kv>,
    /// Health word by node: the count for the cap and the metrics without a scan.
    health: Mutex<HashMap<NodeId, &'static str>>,
    noted: Mutex<BTreeMap<NodeId, Sighting>>,
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
}

/// Whether signed assignments name a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They do: it always has room.
    Assigned,
    /// They do not: it counts against the cap.
    Stranger,
}

impl Inventory {
    /// Loads the summary of what `kv` holds. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn open(kv: Arc<dyn Kv>) -> Result<Self, InventoryError> {
        let mut health = HashMap::new();
        for (node, record) in read_all(kv.as_ref())? {
            health.insert(node, record.health());
        }
        Ok(Self { kv, health: Mutex::new(health), noted: Mutex::default() })
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

    /// Applies a report; durable when it returns. Blocks.
    ///
    /// # Errors
    /// [`InventoryError`].
    pub fn report(&self, report: &Report, standing: Standing, now: UnixTime) -> Result<(), InventoryError> {
        let node = report.node.clone();
        for _ in 0..SWAP_TRIES {
            let mut record = self.read(&node)?;
            self.admit(&node, standing)?;
            let (mut next, expected) = record.take().unwrap_or_else(|| (NodeRecord::new(now), 0));
            next.reported(report.clone(), now);
            let change = Change { key: key(&node), value: encode(&next), expected };
            if self.kv.put(&[change])?.is_empty() {
                self.health().insert(node, next.health());
                return Ok(());
            }
        }
        Err(InventoryError::Contended(node))
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
            let mut words = HashMap::new();
            for (node, sighting) in &waiting {
                if self.admit(node, standing(node)).is_err() {
                    continue;
                }
                let (mut record, expected) =
                    self.read(node)?.unwrap_or_else(|| (NodeRecord::new(sighting.time), 0));
                record.asked_to_boot(sighting.identity.clone(), &sighting.message, sighting.time);
                words.insert(node.clone(), record.health());
                changes.push(Change { key: key(node), value: encode(&record), expected });
            }
            if changes.is_empty() {
                return Ok(());
            }
            let refused = self.kv.put(&changes)?;
            words.retain(|node, _| !refused.contains(&key(node)));
            waiting.retain(|node, _| refused.contains(&key(node)));
            self.health().extend(words);
        }
        Ok(())
    }

    /// Nodes by health word.
    pub fn by_health(&self) -> BTreeMap<&'static str, u64> {
        // All words stand from the start, so that a gauge goes back to zero.
        let words = ["silent", "pending", "healthy", "unhealthy", "unknown"];
        let mut counts: BTreeMap<_, _> = words.into_iter().map(|word| (word, 0)).collect();
        for word in self.health().values() {
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    fn admit(&self, node: &NodeId, standing: Standing) -> Result<(), InventoryError> {
        let health = self.health();
        let room = health.len() < NODES_MAX || standing == Standing::Assigned || health.contains_key(node);
        if room { Ok(()) } else { Err(InventoryError::Full) }
    }

    fn health(&self) -> MutexGuard<'_, HashMap<NodeId, &'static str>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, node: &NodeId) -> Result<Option<(NodeRecord, u64)>, InventoryError> {
        let Some(found) = self.kv.get(&key(node))? else { return Ok(None) };
        Ok(Some((decode(node.as_str(), &found.value), found.revision)))
    }
}

fn key(node: &NodeId) -> String {
    format!("{PREFIX}{node}")
}

fn encode(record: &NodeRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has string keys and no floats")
}

/// A record that cannot be read counts as empty: the node's next report makes it good.
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
        let fake = (0..NODES_MAX).map(|n| (format!("x{n}").parse().unwrap(), "silent"));
        inventory.health().extend(fake);
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
