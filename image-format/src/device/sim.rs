//! A simulated disk that forgets, tears, fails and lies, for tests.
//!
//! Writes go to a cache of single sectors; a flush makes them durable. When the power goes, every sector that was not flushed
//! survives or is lost on its own, so writes are torn and reordered at 512 bytes, as on a disk with a volatile cache.
//! Operations (writes and flushes, and apart from them reads) are counted, and any of them can be told to fail; a flush can be
//! told to say that it succeeded and do nothing.
//!
//! Two ways to a crash: [`Fault::PowerCut`] and [`SimDevice::power_cut`] end a life in the middle, the code under test sees its
//! operations fail. [`SimDevice::record`] notes a whole life in a [`Journal`], of which every [`CrashState`] is enumerated
//! afterwards without running the code again; [`Tally`] counts and judges them.

mod crash;
mod journal;
mod tally;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::crash::{CrashState, Sampling};
pub use self::journal::{Epoch, Journal};
pub use self::tally::Tally;
use super::{Device, SECTOR, in_range};

const SIZE: usize = SECTOR as usize;
/// What a sector holds; none is zeros.
type Sector = Option<Arc<[u8; SIZE]>>;
/// Sectors that are not zero.
type Sectors = BTreeMap<u64, Arc<[u8; SIZE]>>;

/// Puts a sector into the map, or takes it out when it is zero.
fn put(sectors: &mut Sectors, number: u64, sector: Sector) {
    match sector {
        Some(sector) => drop(sectors.insert(number, sector)),
        None => drop(sectors.remove(&number)),
    }
}

/// What goes wrong, and at which operation (writes and flushes count, from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The operation returns `kind` and does nothing; later ones work again.
    Error {
        /// Which operation.
        at: u64,
        /// With which error.
        kind: io::ErrorKind,
    },
    /// The power goes before the operation: it and everything after fails, reads too.
    PowerCut {
        /// Which operation.
        at: u64,
    },
    /// The read returns an I/O error; later ones work again. Reads are counted apart.
    Read {
        /// Which read.
        at: u64,
    },
    /// The operation, if it is a flush, succeeds and makes nothing durable; the next flush does.
    Lie {
        /// Which operation.
        at: u64,
    },
}

#[derive(Debug, Clone)]
struct Inner {
    /// What a reader sees.
    seen: Sectors,
    /// What survives for certain.
    durable: Sectors,
    /// Sector writes since the last flush, oldest first; none is a zero sector.
    cached: Vec<(u64, Sector)>,
    operations: u64,
    reads: u64,
    dead: bool,
    fault: Fault,
    bad_reads: Vec<u64>,
    /// What was done since [`SimDevice::record`].
    journal: Option<Journal>,
}

/// The disk. Zero sectors take no memory.
#[derive(Debug)]
pub struct SimDevice {
    len: u64,
    inner: Mutex<Inner>,
}

impl Clone for SimDevice {
    fn clone(&self) -> Self {
        Self { len: self.len, inner: Mutex::new(self.inner().clone()) }
    }
}

impl SimDevice {
    /// A blank disk of `len` bytes, which must be whole sectors.
    pub fn new(len: u64) -> Self {
        assert_eq!(len % SECTOR, 0, "a disk has whole sectors");
        Self::holding(len, Sectors::new())
    }

    /// A disk that has just been switched on.
    fn holding(len: u64, sectors: Sectors) -> Self {
        let inner = Inner {
            seen: sectors.clone(),
            durable: sectors,
            cached: Vec::new(),
            operations: 0,
            reads: 0,
            dead: false,
            fault: Fault::None,
            bad_reads: Vec::new(),
            journal: None,
        };
        Self { len, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what goes wrong and counts operations from 0 again.
    pub fn set_fault(&self, fault: Fault) {
        let mut inner = self.inner();
        inner.fault = fault;
        inner.operations = 0;
        inner.reads = 0;
    }

    /// Begins to note every write and flush. Everything written before must have been flushed.
    ///
    /// # Panics
    /// When something was not.
    pub fn record(&self) {
        let mut inner = self.inner();
        assert!(inner.cached.is_empty(), "a journal begins with a disk that has nothing in its cache");
        inner.journal = Some(Journal::new(self.len, inner.durable.clone()));
    }

    /// Ends what [`SimDevice::record`] began.
    ///
    /// # Panics
    /// When nothing was begun.
    pub fn journal(&self) -> Journal {
        self.inner().journal.take().expect("a journal was begun")
    }

    /// Makes every read that touches the sector at `offset` fail with an I/O error.
    pub fn break_sector(&self, offset: u64) {
        self.inner().bad_reads.push(offset / SECTOR);
    }

    /// Writes and flushes since the last [`SimDevice::set_fault`].
    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    /// Reads since the last [`SimDevice::set_fault`].
    pub fn reads(&self) -> u64 {
        self.inner().reads
    }

    /// Sector writes that were not flushed.
    pub fn unflushed(&self) -> usize {
        self.inner().cached.len()
    }

    /// The disk after the power came back. `survives` is asked once for each sector write that was not flushed, oldest
    /// first, with the sector's offset in bytes.
    pub fn power_cut(&self, mut survives: impl FnMut(u64) -> bool) -> Self {
        let inner = self.inner();
        let mut durable = inner.durable.clone();
        for (number, sector) in &inner.cached {
            if survives(number * SECTOR) {
                put(&mut durable, *number, sector.clone());
            }
        }
        Self::holding(self.len, durable)
    }

    /// What a reader sees in the bytes `range`, as the sectors that are not zero by their offset: for comparing disks.
    pub fn content(&self, range: std::ops::Range<u64>) -> BTreeMap<u64, Vec<u8>> {
        let inner = self.inner();
        let sectors = inner.seen.range(range.start / SECTOR..range.end.div_ceil(SECTOR));
        sectors.map(|(number, sector)| (number * SECTOR, sector.to_vec())).collect()
    }
}

impl Inner {
    fn begin(&mut self) -> io::Result<()> {
        let at = self.operations;
        self.operations += 1;
        match self.fault {
            Fault::PowerCut { at: cut } if at >= cut => self.dead = true,
            Fault::Error { at: wanted, kind } if at == wanted => {
                return Err(io::Error::new(kind, format!("simulated {kind} at operation {at}")));
            }
            _ => {}
        }
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("simulated power cut")) } else { Ok(()) }
    }
}

impl Device for SimDevice {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, buffer.len(), io::ErrorKind::UnexpectedEof)?;
        let mut inner = self.inner();
        inner.alive()?;
        let at = inner.reads;
        inner.reads += 1;
        if inner.fault == (Fault::Read { at }) {
            return Err(io::Error::other(format!("simulated error at read {at}")));
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let within = (at % SECTOR) as usize;
            let count = (SIZE - within).min(buffer.len() - done);
            if inner.bad_reads.contains(&(at / SECTOR)) {
                return Err(io::Error::other(format!("simulated unreadable sector at {at}")));
            }
            match inner.seen.get(&(at / SECTOR)) {
                Some(sector) => buffer[done..done + count].copy_from_slice(&sector[within..within + count]),
                None => buffer[done..done + count].fill(0),
            }
            done += count;
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        in_range(self.len, offset, bytes.len(), io::ErrorKind::InvalidInput)?;
        let mut inner = self.inner();
        inner.begin()?;
        let before = inner.cached.len();
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let within = (at % SECTOR) as usize;
            let count = (SIZE - within).min(bytes.len() - done);
            let piece = &bytes[done..done + count];
            let mut sector = inner.seen.get(&(at / SECTOR)).map_or([0; SIZE], |sector| **sector);
            sector[within..within + count].copy_from_slice(piece);
            let sector = (sector != [0; SIZE]).then(|| Arc::new(sector));
            put(&mut inner.seen, at / SECTOR, sector.clone());
            inner.cached.push((at / SECTOR, sector));
            done += count;
        }
        let Inner { journal, cached, .. } = &mut *inner;
        if let Some(journal) = journal {
            journal.write(&cached[before..]);
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut inner = self.inner();
        let at = inner.operations;
        inner.begin()?;
        if inner.fault == (Fault::Lie { at }) {
            return Ok(());
        }
        if let Some(journal) = &mut inner.journal {
            journal.flush();
        }
        for (number, sector) in std::mem::take(&mut inner.cached) {
            put(&mut inner.durable, number, sector);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flushed_sectors_survive_for_certain() {
        let disk = SimDevice::new(4096);
        disk.write_at(&[1; 1024], 0).unwrap();
        disk.flush().unwrap();
        disk.write_at(&[2; 1024], 0).unwrap();
        let lost = disk.power_cut(|_| false);
        assert_eq!(lost.read_vec(0, 1024).unwrap(), [1; 1024]);
        let torn = disk.power_cut(|offset| offset == 512);
        assert_eq!(torn.read_vec(0, 1024).unwrap(), [[1; 512], [2; 512]].concat());
    }

    #[test]
    fn faults_hit_their_operation() {
        let disk = SimDevice::new(4096);
        disk.set_fault(Fault::Error { at: 1, kind: io::ErrorKind::StorageFull });
        disk.write_at(&[1], 0).unwrap();
        assert_eq!(disk.write_at(&[2], 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.flush().unwrap();
        disk.set_fault(Fault::PowerCut { at: 0 });
        assert!(disk.flush().is_err());
        assert!(disk.read_vec(0, 1).is_err());
        assert_eq!(disk.power_cut(|_| true).read_vec(0, 1).unwrap(), [1]);
    }

    #[test]
    fn reads_fail_and_flushes_lie_once() {
        let disk = SimDevice::new(4096);
        disk.set_fault(Fault::Read { at: 1 });
        assert!(disk.read_vec(0, 1).is_ok());
        assert_eq!(disk.read_vec(0, 1).unwrap_err().to_string(), "simulated error at read 1");
        assert!(disk.read_vec(0, 1).is_ok());
        disk.set_fault(Fault::Lie { at: 1 });
        disk.write_at(&[1], 0).unwrap();
        disk.flush().unwrap();
        assert_eq!(disk.power_cut(|_| false).read_vec(0, 1).unwrap(), [0]);
        disk.flush().unwrap();
        assert_eq!(disk.power_cut(|_| false).read_vec(0, 1).unwrap(), [1]);
    }

    #[test]
    fn nothing_beyond_the_end() {
        let disk = SimDevice::new(512);
        assert_eq!(disk.write_at(&[0; 2], 511).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.read_vec(u64::MAX, 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
