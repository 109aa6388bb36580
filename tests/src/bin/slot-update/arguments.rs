//! What to do.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use image_format::{ObjectId, Slot};

/// The arguments; see the program.
pub(crate) struct Arguments {
    pub(crate) disk: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) manifest: PathBuf,
    pub(crate) slot: Slot,
    pub(crate) create: bool,
    pub(crate) patch: Option<ObjectId>,
    pub(crate) stream: Option<ObjectId>,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (mut disk, mut store, mut manifest, mut slot) = (None, None, None, None);
        let (mut create, mut patch, mut stream) = (false, None, None);
        while let Some(word) = words.next() {
            if word == "--create" {
                create = true;
                continue;
            }
            let value = words.next().with_context(|| format!("{word}: a value is missing"))?;
            match word.as_str() {
                "--disk" => disk = Some(value.into()),
                "--store" => store = Some(value.into()),
                "--manifest" => manifest = Some(value.into()),
                "--slot" => slot = Some(if value == "A" { Slot::A } else { Slot::B }),
                "--patch" => patch = Some(value.parse()?),
                "--stream" => stream = Some(value.parse()?),
                _ => bail!("unknown: {word}"),
            }
        }
        Ok(Self {
            disk: disk.context("--disk is missing")?,
            store: store.context("--store is missing")?,
            manifest: manifest.context("--manifest is missing")?,
            slot: slot.context("--slot is missing")?,
            create,
            patch,
            stream,
        })
    }
}
