//! Reads, cuts, hashes and compresses on all processors, and gives the results out in order.
//!
//! ```text
//! read a segment, mark its blocks ─(in order, cheap)─ cut ─ hash, compress what is new ─(in order)─ entries and stored bytes
//! ```
//!
//! Every thread does whatever is next: give out what is ready in order, else work on a unit that is cut, else read a segment. As the
//! decisions where to cut are made in order from marks, the result does not depend on the number of threads or on their speed.
//! No more than [`AHEAD`] segments a thread are on their way, so memory does not grow with the artifact.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use image_format::chunker::{Cutter, FileMap, Mark, Span};
use image_format::codec::Compression;
use image_format::index::Entry;

use super::segment::{Pool, SEGMENT, Segment};
use super::work::{Cut, Done, Known, Unit, Worker};

/// Segments on their way for each thread, read and not given out.
const AHEAD: u64 = 8;

/// Receives the chunks in order: the entry, and its stored bytes unless an earlier image has them.
pub(super) type Sink<'s> = dyn FnMut(&Entry, Option<&[u8]>) -> anyhow::Result<()> + Send + 's;

/// Cuts the first `size` bytes of `file` on `threads` threads. The size must be that of `map`, if there is one.
pub(super) fn run(
    file: &File,
    size: u64,
    map: Option<&FileMap>,
    (known, compression): (&Known, Compression),
    threads: usize,
    sink: &mut Sink<'_>,
) -> anyhow::Result<()> {
    // Buffers of the two kinds have different sizes: they are not mixed.
    let (pool, stored) = (Pool::default(), Pool::default());
    let pipeline = Pipeline {
        file,
        size,
        segments: size.div_ceil(SEGMENT as u64),
        ahead: AHEAD * threads as u64,
        known,
        compression,
        pool: &pool,
        stored: &stored,
        sink: Mutex::new(sink),
        state: Mutex::new(State::new(map)),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| pipeline.work());
        }
        pipeline.work();
    });
    let failed = pipeline.state.into_inner().unwrap_or_else(PoisonError::into_inner).failed;
    failed.map_or(Ok(()), Err)
}

struct Pipeline<'p, 's> {
    file: &'p File,
    size: u64,
    segments: u64,
    ahead: u64,
    known: &'p Known,
    compression: Compression,
    /// For segments.
    pool: &'p Pool,
    /// For stored bytes.
    stored: &'p Pool,
    sink: Mutex<&'p mut Sink<'s>>,
    state: Mutex<State<'p>>,
    changed: Condvar,
}

/// Who is where. All numbers are of segments, and of the units that end in them.
struct State<'p> {
    /// The next one to read.
    read: u64,
    /// Read, and not cut because one before them is not.
    marked: BTreeMap<u64, (Arc<Segment<'p>>, Vec<Mark>)>,
    cutter: Cutter<'p>,
    /// First block of the piece that is open.
    begin: u64,
    /// The one that was cut last.
    previous: Option<Arc<Segment<'p>>>,
    /// The next one to cut.
    cut: u64,
    ready: VecDeque<Unit<'p>>,
    done: BTreeMap<u64, Done>,
    /// The next one to give out.
    out: u64,
    /// Whether a thread is giving out.
    giving_out: bool,
    failed: Option<anyhow::Error>,
}

enum Task<'p> {
    GiveOut(Done),
    Work(Unit<'p>),
    Read(u64),
}

impl<'p> State<'p> {
    fn new(map: Option<&'p FileMap>) -> Self {
        Self {
            read: 0,
            marked: BTreeMap::new(),
            cutter: Cutter::new(map),
            begin: 0,
            previous: None,
            cut: 0,
            ready: VecDeque::new(),
            done: BTreeMap::new(),
            out: 0,
            giving_out: false,
            failed: None,
        }
    }

    /// Cuts what is next in order.
    fn cut(&mut self, segments: u64) {
        while let Some((current, marks)) = self.marked.remove(&self.cut) {
            let mut cuts = Vec::new();
            let mut cut = |span: Span| {
                cuts.push(Cut { begin: self.begin, span });
                self.begin += span.blocks() as u64;
            };
            marks.into_iter().filter_map(|mark| self.cutter.push(mark)).for_each(&mut cut);
            if self.cut + 1 == segments {
                self.cutter.finish().into_iter().for_each(&mut cut);
            }
            let previous = self.previous.replace(Arc::clone(&current));
            self.ready.push_back(Unit { number: self.cut, previous, current, cuts });
            self.cut += 1;
        }
    }
}

impl<'p> Pipeline<'p, '_> {
    fn lock(&self) -> MutexGuard<'_, State<'p>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _guard = Guard(self);
        let mut worker = Worker::new(self.known, self.compression, self.stored, self.size);
        while let Some(task) = self.next() {
            let result = match task {
                Task::Read(number) => self.read(number),
                Task::Work(unit) => {
                    let (number, done) = (unit.number, worker.work(unit));
                    self.lock().done.insert(number, done);
                    Ok(())
                }
                Task::GiveOut(done) => self.give_out(done),
            };
            if let Err(error) = result {
                self.lock().failed.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }

    /// What to do now; nothing when all is done or something has failed.
    fn next(&self) -> Option<Task<'p>> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() || state.out == self.segments {
                return None;
            }
            let out = state.out;
            if !state.giving_out
                && let Some(done) = state.done.remove(&out)
            {
                state.giving_out = true;
                return Some(Task::GiveOut(done));
            }
            if let Some(unit) = state.ready.pop_front() {
                return Some(Task::Work(unit));
            }
            if state.read < self.segments.min(out + self.ahead) {
                state.read += 1;
                return Some(Task::Read(state.read - 1));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read(&self, number: u64) -> anyhow::Result<()> {
        let (segment, marks) = Segment::read(self.file, number, self.size, self.pool).with_context(|| {
            format!("read {SEGMENT} of {} bytes at {}", self.size, number * SEGMENT as u64)
        })?;
        let mut state = self.lock();
        state.marked.insert(number, (Arc::new(segment), marks));
        state.cut(self.segments);
        Ok(())
    }

    fn give_out(&self, done: Done) -> anyhow::Result<()> {
        let result = {
            let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
            done.each(&mut **sink)
        };
        self.stored.give_back(done.into_buffer());
        let mut state = self.lock();
        state.giving_out = false;
        state.out += 1;
        result
    }
}

/// When a thread panics, the others shall not wait for it.
struct Guard<'g, 'p, 's>(&'g Pipeline<'p, 's>);

impl Drop for Guard<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed.get_or_insert_with(|| anyhow::anyhow!("a thread that cuts chunks panicked"));
            self.0.changed.notify_all();
        }
    }
}
