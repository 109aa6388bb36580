//! GRUB's environment block, cut to one sector so that it is written as a whole or not at all.
//!
//! The format is GRUB's (`grub-editenv`): a signature line, `name=value` lines in which `\` and line breaks are preceded by
//! `\`, and `#` up to the end. Ours lies in the last sector of `bascule-bios` and tells the boot loader which slot to start
//! (`boot`) and where that slot's kernel and initramfs lie, as block lists relative to the slot's partition.

use std::io;

use crate::Slot;
use crate::device::{Device, SECTOR};
use crate::slot_layout::{Extent, SlotLayout};

const SIGNATURE: &str = "# GRUB Environment Block\n";

/// What the boot loader needs to start one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrubSlot {
    /// The kernel in 512-byte sectors of the slot partition, `offset+length`.
    pub kernel: String,
    /// The initramfs likewise.
    pub initramfs: String,
    /// The kernel command line.
    pub cmdline: String,
}

impl GrubSlot {
    /// The entry of an image that lies in a slot as `layout` says.
    pub fn of(layout: &SlotLayout, cmdline: &str) -> Self {
        Self {
            kernel: block_list(layout.kernel),
            initramfs: block_list(layout.initramfs),
            cmdline: cmdline.to_owned(),
        }
    }
}

/// Whole sectors: the last one is read with the slack behind the file, which the kernel's and gzip's own lengths ignore.
fn block_list(extent: Extent) -> String {
    format!("{}+{}", extent.offset / SECTOR, extent.len.div_ceil(SECTOR))
}

/// The environment: which slot starts, and both slots' entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrubEnv {
    /// The slot to start.
    pub boot: Option<Slot>,
    /// Entry of slot A.
    pub a: Option<GrubSlot>,
    /// Entry of slot B.
    pub b: Option<GrubSlot>,
}

/// Why an environment block cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum GrubEnvError {
    /// Does not fit into one sector.
    #[error("GRUB environment: {found} bytes, one sector holds {SECTOR}; shorten the kernel command line")]
    TooLong {
        /// Bytes needed.
        found: usize,
    },
    /// Not an environment block, or one with values that were not written here.
    #[error("GRUB environment: {0}")]
    Invalid(&'static str),
    /// Other bytes came back than were written.
    #[error("GRUB environment: not the bytes that were written come back")]
    ReadBack,
    /// The device failed.
    #[error("GRUB environment: access failed")]
    Io(#[from] io::Error),
}

const fn letter(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "a",
        Slot::B => "b",
    }
}

impl GrubEnv {
    /// The entry of `slot`.
    pub const fn slot(&self, slot: Slot) -> Option<&GrubSlot> {
        match slot {
            Slot::A => self.a.as_ref(),
            Slot::B => self.b.as_ref(),
        }
    }

    /// Replaces the entry of `slot`. Without one, the boot loader does not start it.
    pub fn set_slot(&mut self, slot: Slot, entry: Option<GrubSlot>) {
        match slot {
            Slot::A => self.a = entry,
            Slot::B => self.b = entry,
        }
    }

    /// The sector.
    ///
    /// # Errors
    /// [`GrubEnvError::TooLong`] when it does not fit.
    pub fn encode(&self) -> Result<[u8; SECTOR as usize], GrubEnvError> {
        let mut text = String::from(SIGNATURE);
        let mut put = |name: &str, value: &str| {
            text.push_str(name);
            text.push('=');
            for c in value.chars() {
                if matches!(c, '\\' | '\n') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push('\n');
        };
        if let Some(boot) = self.boot {
            put("boot", letter(boot));
        }
        for slot in Slot::ALL {
            if let Some(entry) = self.slot(slot) {
                let letter = letter(slot);
                put(&format!("{letter}_k"), &entry.kernel);
                put(&format!("{letter}_i"), &entry.initramfs);
                put(&format!("{letter}_c"), &entry.cmdline);
            }
        }
        let mut sector = [b'#'; SECTOR as usize];
        sector
            .get_mut(..text.len())
            .ok_or(GrubEnvError::TooLong { found: text.len() })?
            .copy_from_slice(text.as_bytes());
        Ok(sector)
    }

    /// Reads a sector. Unknown variables are ignored; an entry counts only when it is complete.
    ///
    /// # Errors
    /// [`GrubEnvError::Invalid`].
    pub fn parse(sector: &[u8]) -> Result<Self, GrubEnvError> {
        let text = std::str::from_utf8(sector).map_err(|_| GrubEnvError::Invalid("not UTF-8"))?;
        let body = text.strip_prefix(SIGNATURE).ok_or(GrubEnvError::Invalid("no signature"))?;
        let mut env = Self::default();
        let mut parts: [[Option<String>; 3]; 2] = Default::default();
        for (name, value) in variables(body)? {
            match name.as_str() {
                "boot" => {
                    env.boot = Some(match value.as_str() {
                        "a" => Slot::A,
                        "b" => Slot::B,
                        _ => return Err(GrubEnvError::Invalid("boot is neither a nor b")),
                    });
                }
                "a_k" => parts[0][0] = Some(value),
                "a_i" => parts[0][1] = Some(value),
                "a_c" => parts[0][2] = Some(value),
                "b_k" => parts[1][0] = Some(value),
                "b_i" => parts[1][1] = Some(value),
                "b_c" => parts[1][2] = Some(value),
                _ => {}
            }
        }
        for (slot, entry) in Slot::ALL.into_iter().zip(parts) {
            if let [Some(kernel), Some(initramfs), Some(cmdline)] = entry {
                env.set_slot(slot, Some(GrubSlot { kernel, initramfs, cmdline }));
            }
        }
        Ok(env)
    }

    /// Reads the environment from the last sector of the partition `bios`. An unreadable one counts as empty: it is rewritten
    /// whole, never amended.
    ///
    /// # Errors
    /// Only when the device fails.
    pub fn load(bios: &dyn Device) -> Result<Self, GrubEnvError> {
        let sector = bios.read_vec(bios.len().saturating_sub(SECTOR), SECTOR as usize)?;
        Ok(Self::parse(&sector).unwrap_or_default())
    }

    /// Writes the last sector of the partition `bios`, durably, unless it is there already.
    ///
    /// # Errors
    /// [`GrubEnvError`]; on [`GrubEnvError::TooLong`] nothing was written.
    pub fn save(&self, bios: &dyn Device) -> Result<(), GrubEnvError> {
        let sector = self.encode()?;
        let offset = bios.len().saturating_sub(SECTOR);
        if bios.read_vec(offset, sector.len())? == sector {
            return Ok(());
        }
        bios.write_at(&sector, offset)?;
        bios.flush()?;
        if bios.read_vec(offset, sector.len())? == sector { Ok(()) } else { Err(GrubEnvError::ReadBack) }
    }
}

fn variables(body: &str) -> Result<Vec<(String, String)>, GrubEnvError> {
    let mut found = Vec::new();
    let mut chars = body.chars();
    while let Some(first) = chars.next() {
        if first == '#' {
            break;
        }
        let mut name = String::from(first);
        let mut value: Option<String> = None;
        loop {
            match (chars.next(), &mut value) {
                (Some('\n'), Some(_)) => break,
                (Some('='), None) => value = Some(String::new()),
                (Some('\\'), Some(value)) => {
                    value.push(chars.next().ok_or(GrubEnvError::Invalid("ends inside of a value"))?);
                }
                (Some('\n'), None) => return Err(GrubEnvError::Invalid("line without =")),
                (Some(c), None) => name.push(c),
                (Some(c), Some(value)) => value.push(c),
                (None, _) => return Err(GrubEnvError::Invalid("ends inside of a line")),
            }
        }
        found.push((name, value.unwrap_or_default()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::device::sim::{Fault, SimDevice};

    fn entry(n: u32) -> GrubSlot {
        GrubSlot {
            kernel: format!("{n}+8"),
            initramfs: "9+10".into(),
            cmdline: "console=ttyS0 panic=10".into(),
        }
    }

    #[test]
    fn the_bytes_are_grubs() {
        let env = GrubEnv { boot: Some(Slot::B), a: None, b: Some(entry(7)) };
        let sector = env.encode().unwrap();
        let text = "# GRUB Environment Block\nboot=b\nb_k=7+8\nb_i=9+10\nb_c=console=ttyS0 panic=10\n#";
        assert!(sector.starts_with(text.as_bytes()));
        assert!(sector[text.len()..].iter().all(|byte| *byte == b'#'));
        assert_eq!(GrubEnv::parse(&sector).unwrap(), env);
    }

    #[test]
    fn too_long_is_refused_before_writing() {
        let disk = SimDevice::new(4096);
        let mut env = GrubEnv { boot: Some(Slot::A), a: Some(entry(1)), b: None };
        env.save(&disk).unwrap();
        let long = GrubSlot { cmdline: "x".repeat(500), ..entry(1) };
        env.set_slot(Slot::B, Some(long));
        assert!(matches!(env.save(&disk), Err(GrubEnvError::TooLong { .. })));
        assert_eq!(GrubEnv::load(&disk).unwrap().b, None);
    }

    #[test]
    fn a_power_cut_leaves_the_old_or_the_new() {
        let disk = SimDevice::new(4096);
        let old = GrubEnv { boot: Some(Slot::A), a: Some(entry(1)), b: None };
        old.save(&disk).unwrap();
        let new = GrubEnv { boot: Some(Slot::B), a: Some(entry(1)), b: Some(entry(2)) };
        disk.set_fault(Fault::PowerCut { at: 1 });
        assert!(new.save(&disk).is_err());
        assert_eq!(GrubEnv::load(&disk.power_cut(|_| false)).unwrap(), old);
        assert_eq!(GrubEnv::load(&disk.power_cut(|_| true)).unwrap(), new);
    }

    #[test]
    fn garbage_counts_as_empty() {
        let disk = SimDevice::new(512);
        assert_eq!(GrubEnv::load(&disk).unwrap(), GrubEnv::default());
        assert!(matches!(
            GrubEnv::parse(b"# GRUB Environment Block\nboot=c\n"),
            Err(GrubEnvError::Invalid(_))
        ));
        assert!(matches!(GrubEnv::parse(b"# GRUB Environment Block\nboot\n"), Err(GrubEnvError::Invalid(_))));
    }

    proptest! {
        #[test]
        fn any_value_round_trips(cmdline in "[ -~\\n\\\\]{0,100}", kernel in "[0-9+]{1,20}") {
            let slot = GrubSlot { kernel, initramfs: "1+1".into(), cmdline };
            let env = GrubEnv { boot: Some(Slot::A), a: Some(slot), b: None };
            prop_assert_eq!(GrubEnv::parse(&env.encode().unwrap()).unwrap(), env);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "[a-z_=\\\\\\n#]{0,80}") {
            let _ = GrubEnv::parse(&bytes);
            let _ = GrubEnv::parse(format!("{SIGNATURE}{text}").as_bytes());
        }
    }
}
