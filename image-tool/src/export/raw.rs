//! The bytes themselves.

use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;

use super::{Artifact, Output};
use crate::plain;

/// Writes the artifact; runs of zeros become holes.
pub(crate) fn raw(artifact: &Artifact<'_>, output: &Output) -> anyhow::Result<()> {
    let file = output.file();
    let size = artifact.index.plain_size();
    file.set_len(size).with_context(|| format!("make a file of {size} bytes"))?;
    plain::each(
        artifact.store,
        artifact.index,
        |offset, entry, chunk| {
            file.write_all_at(&chunk.plain, offset).context("write")?;
            artifact.progress.add(entry.plain_len.into());
            Ok(())
        },
        |_, ()| Ok(()),
    )
}
