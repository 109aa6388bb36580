//! Reading back what was written, from the disk and not from a cache.

use image_format::device::{Device, Hint};
use image_format::index::Index;
use image_format::manifest::Verity;
use image_format::slot_layout::SlotLayout;
use image_format::verity::{BlockHasher, Outline, tree_len};
use image_format::{BLOCK, ChunkId, ObjectId, Sha256};

use super::error::{InstallError, Place};
use super::turns::{Turns, threads};
use super::{Context, Job, News, Phase, Progress, Task, objects};

/// Bytes that one thread reads at a time: the digests of so many blocks fill whole blocks of the tree.
const STEP: usize = 1 << 20;
/// How many steps ahead the disk is told what will be read.
const AHEAD: u64 = 6;
/// The lowest level of the tree is written in pieces of so many bytes.
const LEVEL_STEP: usize = 512 << 10;

/// Reads the root through the verity tree, which must end in the manifest's root hash; writes the tree, and reads it back.
///
/// The lowest level, nearly all of the tree, goes to the disk as it is made: of it only the digests of its blocks are kept.
pub(super) fn root_and_tree(task: &Task<'_>, context: &mut Context<'_>) -> Result<(), InstallError> {
    let Task { target, job: Job { manifest, .. }, index, .. } = *task;
    let layout = &task.layout;
    let cold = |context: &Context<'_>, place| (context.cold)().map_err(InstallError::io(place, 0));
    cold(context, Place::Root)?;
    let verity = &manifest.root.verity;
    let hasher = BlockHasher::new(verity.salt);
    let digests = read_root(target, &hasher, layout, context)?;
    let outline =
        Outline::over(&hasher, digests.clone()).filter(|outline| outline.root_hash == verity.root_hash);
    let Some(outline) = outline else { return Err(wrong_root(target, index, verity, &hasher, digests)) };
    let at = layout.verity.offset;
    target.write_at(&outline.upper, at).map_err(InstallError::io(Place::Tree, at))?;
    target.flush().map_err(InstallError::io(Place::Tree, at))?;
    cold(context, Place::Tree)?;
    check_tree(target, &hasher, layout, &outline, &digests)
}

/// The lowest level, while it is made.
struct Level<'a> {
    target: &'a dyn Device,
    hasher: &'a BlockHasher,
    /// Not written yet.
    bytes: Vec<u8>,
    /// Where they go.
    offset: u64,
    /// Digests of the blocks that were written.
    digests: Vec<u8>,
}

impl Level<'_> {
    fn add(&mut self, bytes: &[u8]) -> Result<(), InstallError> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= LEVEL_STEP { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), InstallError> {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK as usize), 0);
        self.hasher.hash(&self.bytes, &mut self.digests);
        let written = self.target.write_at(&self.bytes, self.offset);
        written.map_err(InstallError::io(Place::Tree, self.offset))?;
        self.offset += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

/// Reads the root, writes the lowest level, and gives the digests of its blocks; for a root of one block the digest of that.
fn read_root(
    target: &dyn Device,
    hasher: &BlockHasher,
    layout: &SlotLayout,
    context: &mut Context<'_>,
) -> Result<Vec<u8>, InstallError> {
    let len = layout.root.len;
    let steps = len.div_ceil(STEP as u64) as usize;
    let offset = layout.verity.offset + Outline::upper_len(len);
    let level = Level { target, hasher, bytes: Vec::with_capacity(LEVEL_STEP), offset, digests: Vec::new() };
    let turns = Turns::new(level);
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                let _guard = turns.guard();
                let (mut buffer, mut digests) = (vec![0; STEP], Vec::new());
                for step in turns.claim(steps) {
                    let offset = step as u64 * STEP as u64;
                    let piece = &mut buffer[..(len - offset).min(STEP as u64) as usize];
                    let ahead = (offset + AHEAD * STEP as u64).min(len);
                    target.hint(Hint::Read, ahead, (len - ahead).min(STEP as u64));
                    digests.clear();
                    let read = target.read_at(piece, offset).map_err(InstallError::io(Place::Root, offset));
                    if read.is_ok() {
                        hasher.hash(piece, &mut digests);
                    }
                    turns.take(step, |level| read.and_then(|()| level.add(&digests)));
                }
            });
        }
        let mut seen = 0;
        while seen < steps && !turns.is_stopped() {
            seen = turns.wait_beyond(seen);
            let done = (seen as u64 * STEP as u64).min(len);
            (context.progress)(News::Progress(Progress { phase: Phase::ReadBack, done, total: len }));
        }
    });
    let mut level = turns.finish()?;
    if tree_len(len) == 0 {
        return Ok(level.bytes);
    }
    if !level.bytes.is_empty() {
        level.write()?;
    }
    Ok(level.digests)
}

/// Reads the tree: its upper part must be `outline`'s, the blocks below must have the `digests` that the upper part holds.
fn check_tree(
    target: &dyn Device,
    hasher: &BlockHasher,
    layout: &SlotLayout,
    outline: &Outline,
    digests: &[u8],
) -> Result<(), InstallError> {
    let wrong = |offset, expected: &[u8], found: &[u8]| InstallError::ReadBack {
        place: Place::Tree,
        offset,
        expected: ObjectId::of(expected).to_string(),
        found: ObjectId::of(found).to_string(),
    };
    let read =
        |offset: u64, len: usize| target.read_vec(offset, len).map_err(InstallError::io(Place::Tree, offset));
    let upper = read(layout.verity.offset, outline.upper.len())?;
    if upper != outline.upper {
        return Err(wrong(layout.verity.offset, &outline.upper, &upper));
    }
    let mut offset = layout.verity.offset + upper.len() as u64;
    let mut rest = digests;
    let mut found = Vec::new();
    while offset < layout.verity.end() {
        let level = read(offset, (layout.verity.end() - offset).min(LEVEL_STEP as u64) as usize)?;
        found.clear();
        hasher.hash(&level, &mut found);
        let (expected, behind) = rest.split_at(found.len().min(rest.len()));
        if expected != found {
            return Err(wrong(offset, expected, &found));
        }
        rest = behind;
        offset += level.len() as u64;
    }
    Ok(())
}

/// Where the root differs from its index; if nowhere, the index and the root hash of a signed manifest contradict each other.
fn wrong_root(
    target: &dyn Device,
    index: &Index,
    verity: &Verity,
    hasher: &BlockHasher,
    digests: Vec<u8>,
) -> InstallError {
    let mut buffer = Vec::new();
    for (offset, entry) in index.iter_at().filter(|(_, entry)| !entry.is_zero()) {
        buffer.resize(entry.plain_len as usize, 0);
        if let Err(error) = target.read_at(&mut buffer, offset) {
            return InstallError::io(Place::Root, offset)(error);
        }
        let found = ChunkId::of(&buffer);
        if found != entry.chunk {
            let (expected, found) = (entry.chunk.to_string(), found.to_string());
            return InstallError::ReadBack { place: Place::Root, offset, expected, found };
        }
    }
    let found =
        Outline::over(hasher, digests).map_or(Sha256::from_bytes([0; 32]), |outline| outline.root_hash);
    InstallError::ReadBack {
        place: Place::Root,
        offset: 0,
        expected: format!("verity root hash {}", verity.root_hash),
        found: found.to_string(),
    }
}

/// Hashes kernel and initramfs, and looks at the zeros behind them. The caches were emptied after they were flushed.
pub(super) fn objects(task: &Task<'_>) -> Result<(), InstallError> {
    let target = task.target;
    for (place, object, extent) in objects::of(task.job.manifest, &task.layout) {
        let found = objects::digest(target, extent).map_err(InstallError::io(place, extent.offset))?;
        if found != object.id {
            return Err(InstallError::ReadBack {
                place,
                offset: extent.offset,
                expected: object.id.to_string(),
                found: found.to_string(),
            });
        }
        let slack = objects::slack(extent);
        let behind = target.read_vec(slack.offset, slack.len as usize);
        if behind.map_err(InstallError::io(place, slack.offset))?.iter().any(|byte| *byte != 0) {
            let (expected, found) = ("zeros behind it".to_owned(), "something else".to_owned());
            return Err(InstallError::ReadBack { place, offset: slack.offset, expected, found });
        }
    }
    Ok(())
}
