//! The disk and its boot record.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use image_format::disk_layout::Found;
use image_format::manifest::DiskSizes;
use image_format::pin::DiskConsent;
use image_format::record::Record;

use super::environment::{Environment, settle};
use super::recover;
use crate::disk::{BootDisk, Survey};
use crate::modules::Loader;
use crate::net::Mac;
use crate::say;
use crate::sys;

/// How long disks may take to appear when none has.
const FIRST_DISK: Duration = Duration::from_secs(20);

/// How long a disk of ours may take to appear after another one has: a slow controller must not lead to a second installation.
const OUR_DISK: Duration = Duration::from_secs(3);

/// How often disks are looked for.
const POLL: Duration = Duration::from_millis(50);

/// What there is to boot from and to remember on.
#[derive(Debug)]
pub(super) enum Storage {
    /// Our disk and its record.
    Ours(Box<(BootDisk, Record)>),
    /// Other disks, or none.
    Other(Survey),
}

impl Storage {
    /// The interface that this node booted from when the record was saved.
    pub(super) fn mac(&self) -> Option<Mac> {
        match self {
            Self::Ours(ours) => ours.1.node.as_ref()?.as_str().parse().ok(),
            Self::Other(_) => None,
        }
    }
}

/// Finds our disk and loads its record.
pub(super) fn open(environment: &Environment, devices: &mut Loader) -> Storage {
    let start = Instant::now();
    loop {
        let survey = Survey::read(&environment.sysfs, &environment.dev).unwrap_or_else(|error| {
            say!("disk: {error}");
            Survey::default()
        });
        match use_ours(&survey, &environment.root_json) {
            Ok(Some(ours)) => return Storage::Ours(Box::new(ours)),
            Ok(None) => {}
            Err(error) => {
                say!("disk: {error:#}; going on without a disk");
                return Storage::Other(survey);
            }
        }
        let limit = if survey.disks.is_empty() { FIRST_DISK } else { OUR_DISK };
        if start.elapsed() >= limit {
            for (disk, found) in &survey.disks {
                say!("disk: {}: {}", disk.describe(), words(found));
            }
            for skipped in &survey.skipped {
                say!("disk: skipped {skipped}");
            }
            return Storage::Other(survey);
        }
        std::thread::sleep(POLL);
        settle(devices);
    }
}

fn words(found: &Found) -> &str {
    match found {
        Found::Blank => "blank",
        Found::Bascule(_) => "a Bascule disk",
        Found::Foreign(what) => what,
    }
}

fn use_ours(survey: &Survey, embedded: &[u8]) -> anyhow::Result<Option<(BootDisk, Record)>> {
    let Some((disk, layout)) = survey.ours()? else { return Ok(None) };
    let boot_disk = BootDisk::open(&disk, layout)?;
    let loaded = boot_disk.load_record();
    for damage in loaded.damage {
        say!("record: {:#}", anyhow::Error::new(damage));
    }
    let record = match loaded.record {
        Some(record) => record,
        None => recover::rebuild(&boot_disk, embedded),
    };
    say!("disk: {}, {}", disk.describe(), recover::describe(&record.state));
    Ok(Some((boot_disk, record)))
}

/// Lays out a new disk, if the rules allow one.
///
/// # Errors
/// Says which disks there are and what an admin can do.
pub(super) fn create(
    survey: &Survey,
    sizes: &DiskSizes,
    consent: Option<&DiskConsent>,
) -> anyhow::Result<BootDisk> {
    let (disk, layout) = survey.new_disk(sizes, consent)?;
    say!("disk: laying out {}: everything on it is lost", disk.describe());
    let boot_disk = BootDisk::create(&disk, layout, sys::block::drop_cache)?;
    sys::block::reread_partitions(boot_disk.file())
        .with_context(|| format!("let the kernel read the partition table of {}", disk.name))?;
    Ok(boot_disk)
}
