//! What a virtual machine is made of, and the command line that makes it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::sockets::SocketDir;

/// The address at which a guest finds the host's forwarded ports.
pub const SERVER_IP: &str = "10.0.2.100";

/// Memory of a node in MiB.
pub const MEMORY_MIB: u32 = 1536;

/// A virtual machine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name in messages.
    pub name: String,
    /// Directory for console log, QEMU's log and the relay program.
    pub dir: PathBuf,
    /// MAC address with colons.
    pub mac: String,
    /// Raw disks, in order; none is a diskless machine.
    pub disks: Vec<PathBuf>,
    /// Port of the delivery listener on the host's loopback; the boot script comes from there.
    pub delivery: u16,
    /// Port of the admin listener, for reports.
    pub admin: u16,
}

impl Config {
    /// The node's id, its MAC address with dashes.
    pub fn node(&self) -> String {
        self.mac.replace(':', "-")
    }

    /// Puts a copy of this program next to the machine, so that a rebuild cannot take the relay away.
    pub(super) fn install_relay(&self) -> Result<PathBuf> {
        let path = self.dir.join("relay");
        if !path.exists() {
            let own = relay_program()?;
            fs::copy(&own, &path).with_context(|| format!("copy {} to {}", own.display(), path.display()))?;
        }
        Ok(path)
    }

    pub(super) fn arguments(&self, relay: &Path, sockets: &SocketDir) -> Vec<OsString> {
        let accel = std::env::var("BASCULE_ACCEL").unwrap_or_else(|_| "tcg,thread=multi".into());
        let forward = |port: u16| {
            format!(
                "guestfwd=tcp:{SERVER_IP}:{port}-cmd:{} relay {port}",
                comma(&relay.display().to_string())
            )
        };
        let mut args: Vec<String> = Vec::new();
        let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
        // graphics=off: the firmware, iPXE and GRUB write to the serial port too.
        // hpet=off: in emulation a guest now and then stops for ever when it makes the HPET its clock source.
        add("-machine", "pc,graphics=off,hpet=off".into());
        add("-accel", accel);
        add("-cpu", "max".into());
        add("-smp", "2".into());
        add("-m", MEMORY_MIB.to_string());
        add("-display", "none".into());
        add("-monitor", "none".into());
        add(
            "-chardev",
            format!(
                "socket,id=serial,path={},server=on,wait=on",
                comma(&sockets.serial().display().to_string())
            ),
        );
        add("-serial", "chardev:serial".into());
        add("-qmp", format!("unix:{},server=on,wait=off", comma(&sockets.qmp().display().to_string())));
        add("-boot", "menu=off".into());
        add("-device", "i6300esb".into());
        add("-action", "watchdog=reset".into());
        add(
            "-netdev",
            format!(
                "user,id=net,restrict=on,bootfile=http://{SERVER_IP}:{}/boot.ipxe,{},{}",
                self.delivery,
                forward(self.delivery),
                forward(self.admin)
            ),
        );
        add("-device", format!("virtio-net-pci,netdev=net,mac={},bootindex=1", self.mac));
        for (number, disk) in self.disks.iter().enumerate() {
            // cache=unsafe: the host does not lose power during a test; what QEMU was told survives QEMU.
            let file = comma(&disk.display().to_string());
            add(
                "-drive",
                format!("if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={file}"),
            );
            let index = number + 2;
            add(
                "-device",
                format!("virtio-blk-pci,drive=disk{number},serial=disk{number},bootindex={index}"),
            );
        }
        args.extend(["-nodefaults", "-no-user-config", "-S"].map(str::to_owned));
        args.into_iter().map(OsString::from).collect()
    }
}

/// In QEMU's option lists a comma in a value is doubled.
fn comma(text: &str) -> String {
    text.replace(',', ",,")
}

/// The program that has the `relay` verb: this one, or the one next to a test binary.
fn relay_program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    if own.file_name().is_some_and(|name| name == "bascule-tests") {
        return Ok(own);
    }
    Ok(crate::workspace::target_dir().join("debug/bascule-tests"))
}

/// Makes a sparse disk of `mib` MiB, replacing what was there.
pub fn blank_disk(path: &Path, mib: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    file.set_len(mib << 20).with_context(|| format!("set the length of {}", path.display()))
}
