//! Writes the inputs with which the fuzz target `differential` begins: `differential_seeds DIRECTORY`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bascule_tests::differential::fuzz_seeds;

fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).context("usage: differential_seeds DIRECTORY")?);
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    for (number, seed) in fuzz_seeds().iter().enumerate() {
        let path = dir.join(format!("seed-{number}"));
        std::fs::write(&path, seed).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
