//! Which disk.
//!
//! A disk of ours is used wherever it is. Without one, a blank disk becomes ours; a disk that holds anything else does so only
//! when the signed pin names it and says `wipe`. More than one possible answer is refused with all of them named: guessing
//! between disks destroys data.

use std::io;
use std::path::{Path, PathBuf};

use image_format::device::FileDevice;
use image_format::disk_layout::{self, Found, Layout, PlanError};
use image_format::manifest::DiskSizes;
use image_format::pin::DiskConsent;

/// Kernel names of block devices that are no disks of a node.
const SKIPPED: &[&str] = &["loop", "ram", "sr", "dm-", "md", "zram", "fd", "nbd", "mtdblock", "rbd", "drbd"];

/// A disk as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Kernel name, `vda`.
    pub name: String,
    /// Device node.
    pub path: PathBuf,
    /// Length in bytes.
    pub len: u64,
    /// Length of a logical sector in bytes.
    pub sector: u64,
    /// Serial number, where the kernel tells one.
    pub serial: Option<String>,
    /// Model, where the kernel tells one.
    pub model: Option<String>,
}

impl Disk {
    fn is(&self, named: &str) -> bool {
        self.name == named || self.serial.as_deref() == Some(named)
    }

    /// Name, size, model and serial number, for people.
    pub fn describe(&self) -> String {
        let mut text = format!("{} ({} MiB", self.name, self.len >> 20);
        for (word, value) in [("", &self.model), ("serial ", &self.serial)] {
            if let Some(value) = value {
                text.push_str(&format!(", {word}{value}"));
            }
        }
        text + ")"
    }
}

/// All disks of the node and what is on them.
#[derive(Debug, Default)]
pub struct Survey {
    /// Disks that were read.
    pub disks: Vec<(Disk, Found)>,
    /// Everything that is not considered, with the reason.
    pub skipped: Vec<String>,
}

/// Why no disk is used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// No disk at all.
    #[error("no disk: expected one, found {seen}")]
    NoDisk {
        /// What was seen and skipped.
        seen: String,
    },
    /// More than one disk of ours.
    #[error("several Bascule disks: expected one, found {disks}; erase or remove all but one")]
    SeveralOurs {
        /// All of them.
        disks: String,
    },
    /// More than one blank disk and no consent that names one.
    #[error("several blank disks: {disks}; name one with the pin's disk consent")]
    SeveralBlank {
        /// All of them.
        disks: String,
    },
    /// Only disks with foreign data.
    #[error("no blank disk: {disks}; to overwrite one, name it with the pin's disk consent and wipe")]
    Foreign {
        /// Each with what is on it.
        disks: String,
    },
    /// The consent names a disk that is not there.
    #[error("the pin names the disk {named:?}: found {seen}")]
    NotThere {
        /// Name or serial number of the consent.
        named: String,
        /// What was seen.
        seen: String,
    },
    /// The consent names a disk with foreign data without allowing to overwrite it.
    #[error("the pin names the disk {disk} without wipe, and it holds {found}")]
    NoWipe {
        /// The disk.
        disk: String,
        /// What is on it.
        found: String,
    },
    /// The consent fits several disks.
    #[error("the pin names the disk {named:?}: that fits {disks}")]
    Ambiguous {
        /// Name or serial number of the consent.
        named: String,
        /// All that fit.
        disks: String,
    },
    /// The disk that would be used is too small.
    #[error("disk {disk} cannot be used")]
    Plan {
        /// The disk.
        disk: String,
        /// Sizes needed and found.
        source: PlanError,
    },
    /// The disk that would be used has sectors that the boot loader's block lists cannot address.
    #[error("disk {disk}: sectors of {found} bytes, expected 512")]
    SectorSize {
        /// The disk.
        disk: String,
        /// Its sector size.
        found: u64,
    },
}

impl Survey {
    /// Reads all disks below `sysfs` (`/sys`) by their nodes in `dev` (`/dev`). A disk that cannot be read is skipped by name.
    ///
    /// # Errors
    /// When the list of block devices cannot be read.
    pub fn read(sysfs: &Path, dev: &Path) -> io::Result<Self> {
        let blocks = sysfs.join("block");
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("list {}: {error}", blocks.display()));
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&blocks).map_err(named)? {
            names.push(entry.map_err(named)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut survey = Self::default();
        for name in names {
            match read_disk(&blocks.join(&name), &name, dev).and_then(|disk| {
                let device = FileDevice::inspect(&disk.path).map_err(|error| error.to_string())?;
                let found = disk_layout::probe(&device).map_err(|error| error.to_string())?;
                Ok((disk, found))
            }) {
                Ok(found) => survey.disks.push(found),
                Err(reason) => survey.skipped.push(format!("{name}: {reason}")),
            }
        }
        Ok(survey)
    }

    fn seen(&self) -> String {
        let disks = self.disks.iter().map(|(disk, found)| format!("{}: {}", disk.describe(), text(found)));
        let all: Vec<String> = disks.chain(self.skipped.iter().cloned()).collect();
        if all.is_empty() { "no block device".to_owned() } else { all.join("; ") }
    }

    /// The disk that has our layout, if there is one.
    ///
    /// # Errors
    /// [`FindError::SeveralOurs`].
    pub fn ours(&self) -> Result<Option<(Disk, Layout)>, FindError> {
        let ours: Vec<(&Disk, &Layout)> = self
            .disks
            .iter()
            .filter_map(|(disk, found)| match found {
                Found::Bascule(layout) => Some((disk, layout)),
                _ => None,
            })
            .collect();
        match ours.as_slice() {
            [] => Ok(None),
            [(disk, layout)] => Ok(Some(((*disk).clone(), **layout))),
            several => Err(FindError::SeveralOurs { disks: list(several.iter().map(|(disk, _)| *disk)) }),
        }
    }

    /// The disk to lay out when none is ours, and how.
    ///
    /// # Errors
    /// [`FindError`]: each case says what was seen and what an admin can do.
    pub fn new_disk(
        &self,
        sizes: &DiskSizes,
        consent: Option<&DiskConsent>,
    ) -> Result<(Disk, Layout), FindError> {
        let disk = match consent {
            Some(consent) => self.consented(consent)?,
            None => self.blank(sizes)?,
        };
        if disk.sector != 512 {
            return Err(FindError::SectorSize { disk: disk.describe(), found: disk.sector });
        }
        let layout = Layout::plan(disk.len, sizes)
            .map_err(|source| FindError::Plan { disk: disk.describe(), source })?;
        Ok((disk.clone(), layout))
    }

    fn consented(&self, consent: &DiskConsent) -> Result<&Disk, FindError> {
        let named = consent.disk.clone();
        let fits: Vec<&(Disk, Found)> = self.disks.iter().filter(|(disk, _)| disk.is(&named)).collect();
        match fits.as_slice() {
            [] => Err(FindError::NotThere { named, seen: self.seen() }),
            [(disk, Found::Blank)] => Ok(disk),
            [(disk, _)] if consent.wipe => Ok(disk),
            [(disk, found)] => Err(FindError::NoWipe { disk: disk.describe(), found: text(found) }),
            several => Err(FindError::Ambiguous { named, disks: list(several.iter().map(|(disk, _)| disk)) }),
        }
    }

    fn blank(&self, sizes: &DiskSizes) -> Result<&Disk, FindError> {
        let blank = self.disks.iter().filter(|(_, found)| *found == Found::Blank);
        let blank: Vec<&Disk> = blank.map(|(disk, _)| disk).collect();
        let large = blank.iter().copied().filter(|disk| Layout::plan(disk.len, sizes).is_ok());
        match (large.collect::<Vec<_>>().as_slice(), blank.as_slice()) {
            ([disk], _) => Ok(disk),
            // Too small: planning the layout will say by how much.
            ([], [small, ..]) => Ok(small),
            ([], []) if self.disks.is_empty() => Err(FindError::NoDisk { seen: self.seen() }),
            ([], []) => Err(FindError::Foreign { disks: self.seen() }),
            (several, _) => Err(FindError::SeveralBlank { disks: list(several.iter().copied()) }),
        }
    }
}

fn text(found: &Found) -> String {
    match found {
        Found::Blank => "blank".to_owned(),
        Found::Bascule(_) => "a Bascule disk".to_owned(),
        Found::Foreign(what) => what.clone(),
    }
}

fn list<'d>(disks: impl Iterator<Item = &'d Disk>) -> String {
    disks.map(Disk::describe).collect::<Vec<_>>().join(", ")
}

/// What sysfs says about one block device; the error is why it is not considered.
fn read_disk(sysfs: &Path, name: &str, dev: &Path) -> Result<Disk, String> {
    let word = |file: &str| {
        let text = std::fs::read_to_string(sysfs.join(file)).ok()?;
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(64).collect();
        (!text.is_empty()).then_some(text)
    };
    let number = |file: &str| word(file).and_then(|text| text.parse::<u64>().ok());
    if SKIPPED.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("not a disk".to_owned());
    }
    if number("removable") == Some(1) {
        return Err("removable".to_owned());
    }
    if number("ro") == Some(1) {
        return Err("read-only".to_owned());
    }
    // sysfs counts in 512 bytes whatever the sectors are.
    let len = number("size").and_then(|sectors| sectors.checked_mul(512)).ok_or("no size")?;
    if len == 0 {
        return Err("no medium".to_owned());
    }
    Ok(Disk {
        name: name.to_owned(),
        path: dev.join(name),
        len,
        sector: number("queue/logical_block_size").unwrap_or(512),
        serial: word("serial").or_else(|| word("device/serial")),
        model: word("device/model"),
    })
}
