//! What other tools make of the pair: sizes only, each computed once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::contest::command;
use crate::process;
use crate::view::View;

/// Size of a file in bytes.
pub(super) fn size(path: &Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("size of {}", path.display()))?.len())
}

/// What casync made of an image.
pub(super) struct Casync {
    /// Its index.
    pub(super) index: PathBuf,
    /// Its store.
    pub(super) store: PathBuf,
}

/// Names and sizes of the chunks in a casync store.
pub(super) fn chunks(store: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for dir in fs::read_dir(store).with_context(|| format!("list {}", store.display()))? {
        for chunk in fs::read_dir(dir?.path())? {
            let chunk = chunk?;
            found.insert(chunk.file_name().to_string_lossy().into_owned(), chunk.metadata()?.len());
        }
    }
    Ok(found)
}

impl Casync {
    /// `casync make`, 64 KiB on average as is its default, below `dir`.
    pub(super) fn make(view: &View, dir: &Path, name: &str, image: &Path) -> Result<Self> {
        let made =
            Self { index: dir.join(format!("{name}.caibx")), store: dir.join(format!("{name}.castr")) };
        process::run(&made.command(image), view)?.success("casync make")?;
        Ok(made)
    }

    /// The command that makes it.
    pub(super) fn command(&self, image: &Path) -> Command {
        let store = PathBuf::from(format!("--store={}", self.store.display()));
        command("casync", [&"make", &store, &self.index, &image])
    }

    /// Bytes that one who has `old` fetches.
    pub(super) fn fetched(&self, old: &Self) -> Result<u64> {
        let had = chunks(&old.store)?;
        let missing = chunks(&self.store)?.into_iter().filter(|(name, _)| !had.contains_key(name));
        Ok(missing.map(|(_, size)| size).sum::<u64>() + size(&self.index)?)
    }
}

/// What RAUC's adaptive update by block hashes fetches: the 4 KiB blocks that the old image has nowhere, uncompressed as they are in
/// the bundle, and the list of hashes (SHA-256, 32 bytes a block).
pub(super) fn rauc_block_hashes(old: &Path, new: &Path) -> Result<u64> {
    const BLOCK: usize = 4096;
    let mut had = std::collections::HashSet::new();
    let mut each = |path: &Path, take: &mut dyn FnMut(u128, &mut std::collections::HashSet<u128>)| {
        let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut block = [0; BLOCK];
        while file.read_exact(&mut block).is_ok() {
            take(fingerprint(&block), &mut had);
        }
        anyhow::Ok(())
    };
    each(old, &mut |print, had| {
        had.insert(print);
    })?;
    let mut fetched = 0;
    each(new, &mut |print, had| {
        fetched += if had.insert(print) { BLOCK as u64 + 32 } else { 32 };
    })?;
    Ok(fetched)
}

/// Tells blocks apart well enough to count them.
fn fingerprint(block: &[u8]) -> u128 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        block.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
