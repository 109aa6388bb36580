//! Everything that was written to a disk, in order.

use std::collections::BTreeMap;

use super::{Sector, Sectors, put};

/// One operation.
#[derive(Debug, Clone)]
enum Step {
    /// The sectors of one write.
    Write(Vec<(u64, Sector)>),
    Flush,
}

/// The writes and flushes since [`SimDevice::record`](super::SimDevice::record).
#[derive(Debug, Clone)]
pub struct Journal {
    len: u64,
    base: Sectors,
    steps: Vec<Step>,
}

/// The writes between two flushes: those that a power cut may take or leave.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Its place in the journal, from 0.
    pub number: usize,
    pub(super) len: u64,
    /// What survives for certain.
    pub(super) durable: Sectors,
    /// For each write its sectors, and which of their versions it made: 1 is the first.
    pub(super) writes: Vec<Vec<(u64, u8)>>,
    /// All that each sector may hold: what was durable, and everything written that differs from its predecessor.
    pub(super) versions: BTreeMap<u64, Vec<Sector>>,
}

impl Journal {
    pub(super) const fn new(len: u64, base: Sectors) -> Self {
        Self { len, base, steps: Vec::new() }
    }

    pub(super) fn write(&mut self, sectors: &[(u64, Sector)]) {
        self.steps.push(Step::Write(sectors.to_vec()));
    }

    pub(super) fn flush(&mut self) {
        self.steps.push(Step::Flush);
    }

    /// Writes and flushes.
    pub fn operations(&self) -> usize {
        self.steps.len()
    }

    /// Flushes.
    pub fn flushes(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Flush)).count()
    }

    /// The epochs of a disk that keeps its word.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.split(None)
    }

    /// The one epoch that is other when the flush number `lie` (from 0) did nothing: two in one.
    pub fn lying_epoch(&self, lie: usize) -> Option<Epoch> {
        self.split(Some(lie)).into_iter().nth(lie)
    }

    fn split(&self, lie: Option<usize>) -> Vec<Epoch> {
        let mut epochs = Vec::new();
        let mut epoch = Epoch::new(0, self.len, self.base.clone());
        let mut flushes = 0;
        for step in &self.steps {
            match step {
                Step::Write(sectors) => epoch.write(sectors),
                Step::Flush => {
                    let lies = lie == Some(flushes);
                    flushes += 1;
                    if !lies {
                        let next = Epoch::new(epochs.len() + 1, self.len, epoch.flushed());
                        epochs.push(std::mem::replace(&mut epoch, next));
                    }
                }
            }
        }
        epochs.push(epoch);
        epochs
    }
}

impl Epoch {
    const fn new(number: usize, len: u64, durable: Sectors) -> Self {
        Self { number, len, durable, writes: Vec::new(), versions: BTreeMap::new() }
    }

    fn write(&mut self, sectors: &[(u64, Sector)]) {
        let mut made = Vec::new();
        for (number, sector) in sectors {
            let durable = self.durable.get(number).cloned();
            if !self.versions.contains_key(number) && durable == *sector {
                continue;
            }
            let versions = self.versions.entry(*number).or_insert_with(|| vec![durable]);
            if versions.last() != Some(sector) {
                versions.push(sector.clone());
                let version =
                    u8::try_from(versions.len() - 1).expect("a sector is written a few times at most");
                made.push((*number, version));
            }
        }
        if !made.is_empty() {
            self.writes.push(made);
        }
    }

    /// What survives after the flush at the end.
    fn flushed(&self) -> Sectors {
        let mut durable = self.durable.clone();
        for (number, versions) in &self.versions {
            put(&mut durable, *number, versions.last().cloned().flatten());
        }
        durable
    }
}
