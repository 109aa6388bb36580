//! The committed inputs.

use std::fs;
use std::path::PathBuf;

/// Where the inputs of a target lie.
pub fn dir(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a target in order of their file names; none when there is no directory.
///
/// # Panics
/// A file cannot be read.
pub fn read(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir(target)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}
