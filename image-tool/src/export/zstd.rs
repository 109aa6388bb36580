//! The whole artifact in one zstd frame, which `zstd -d` turns back into the bytes.

use std::io::Write;
use std::ops::RangeInclusive;

use anyhow::Context as _;

use super::{Artifact, Output};
use crate::plain;

/// Levels that can be asked for.
pub(crate) const LEVELS: RangeInclusive<i64> = 1..=19;

/// Zeros written at a time.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Writes the frame, with the content's size and checksum.
pub(crate) fn zstd(artifact: &Artifact<'_>, level: i32, output: &Output) -> anyhow::Result<()> {
    let mut encoder =
        zstd::stream::write::Encoder::new(output.file(), level).context("begin a zstd frame")?;
    let begun = encoder
        .include_checksum(true)
        .and_then(|()| encoder.include_contentsize(true))
        .and_then(|()| encoder.set_pledged_src_size(Some(artifact.index.plain_size())));
    begun.context("begin a zstd frame")?;
    plain::each(
        artifact.store,
        artifact.index,
        |_, _, chunk| Ok(chunk.plain),
        |entry, plain| {
            encoder.write_all(&plain).context("write")?;
            let mut zeros = if entry.is_zero() { entry.plain_len as usize } else { 0 };
            while zeros > 0 {
                let now = zeros.min(ZEROS.len());
                encoder.write_all(&ZEROS[..now]).context("write")?;
                zeros -= now;
            }
            artifact.progress.add(entry.plain_len.into());
            Ok(())
        },
    )?;
    encoder.finish().context("write")?;
    Ok(())
}
