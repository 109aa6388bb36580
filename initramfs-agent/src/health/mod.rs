//! `imgagent health`: the verdict on the running image, and the signs of life after it.
//!
//! ```text
//! started ─▶ checks, again and again until all pass in one round or the deadline is over
//!    all pass                 ─▶ slot confirmed (durable) ─▶ watching
//!    deadline, image on trial ─▶ reason remembered (durable) ─▶ reboot: the next boot counts the attempts
//!    deadline, confirmed      ─▶ watching: the node stays up
//! watching: one round about every minute, reported
//! ```
//! The server plays no part in the verdict: losing it never rolls back an image.

mod gate;
mod identity;
mod probe;
mod reboot;
mod verdict;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use fleet_protocol::boot_info::BOOT_INFO_PATH;
use fleet_protocol::{BootInfo, Event, Health};
use image_format::record::Record;
use image_format::state::SlotState;

use crate::disk::BootDisk;
use crate::fleet::Reporter;
use crate::fleet::report::Running;
use crate::identity::STATE;
use crate::say;

/// Largest `boot.json` read, in bytes: a manifest and a little more.
const BOOT_INFO_MAX: u64 = 4 << 20;

/// The running system as the agent in the initramfs left it.
struct System {
    info: BootInfo,
    disk: BootDisk,
    record: Record,
    reporter: Reporter,
    running: Running,
}

impl System {
    fn open(boot_info: &Path) -> anyhow::Result<Self> {
        let info = read_boot_info(boot_info)?;
        let disk = BootDisk::open_path(Path::new(&info.disk_device))?;
        let record = disk
            .load_record()
            .record
            .context("the boot record cannot be read: the slot cannot be confirmed")?;
        let admin = info.report_url.as_deref().and_then(|url| url.parse().ok());
        let mut reporter = Reporter::new(admin.clone(), info.node.clone());
        let mut record = record;
        if let Some(identity) =
            identity::take(Path::new(STATE), admin.as_ref(), &info.node, &disk, &mut record)
        {
            reporter.sign_with(identity);
        }
        let running = Running {
            group: info.group.clone(),
            slot: Some(info.slot),
            image: record.state.slot(info.slot).image().cloned(),
            attempt: info.attempt,
            fetched_bytes: info.fetched_bytes,
        };
        Ok(Self { info, disk, record, reporter, running })
    }
}

/// One thing to tell the server.
struct Told {
    event: Event,
    health: Health,
    message: String,
}

impl Told {
    /// Tells it; false when the server did not take it.
    fn tell(&self, system: &mut System) -> bool {
        let System { reporter, running, record, .. } = system;
        reporter.send(self.event, self.health, &self.message, running, record)
    }
}

impl Told {
    /// Whether this verdict is against an image on trial.
    fn ends_the_system(&self, system: &System) -> bool {
        let trial = matches!(system.record.state.slot(system.info.slot), SlotState::Trial { .. });
        trial && self.health == Health::Unhealthy
    }
}

/// Reads what the agent in the initramfs left.
///
/// # Errors
/// Not booted by the agent, or a file that it did not write.
pub fn read_boot_info(path: &Path) -> anyhow::Result<BootInfo> {
    let describe = || format!("read {}: was this system started by imgagent?", path.display());
    let length = std::fs::metadata(path).with_context(describe)?.len();
    anyhow::ensure!(
        length <= BOOT_INFO_MAX,
        "{}: {length} bytes, at most {BOOT_INFO_MAX} are read",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(describe)?;
    serde_json::from_slice(&bytes).with_context(|| format!("understand {}", path.display()))
}

/// The verb. Ends only by a reboot or an error: systemd starts it again.
///
/// # Errors
/// The system's description, the disk or the record cannot be used.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut system = System::open(Path::new(BOOT_INFO_PATH))?;
    let name = system.info.image.clone();
    say!("health: {name} in slot {}: {} checks", system.info.slot, system.info.manifest.health.checks.len());
    let message = format!("{name} is up, checks are running");
    Told { event: Event::Started, health: Health::Pending, message }.tell(&mut system);
    let verdict = match gate::wait(&system.info.manifest.health) {
        Ok(()) => verdict::confirm(&mut system)?,
        Err(reason) => verdict::fail(&mut system, &reason)?,
    };
    let taken = verdict.tell(&mut system);
    if verdict.ends_the_system(&system) {
        say!("health: {name} failed in slot {}: {}; restarting", system.info.slot, verdict.message);
        return Err(reboot::restart());
    }
    watch::watch(&mut system, Some(verdict).filter(|_| !taken))
}
