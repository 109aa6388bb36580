//! Starting a slot.

use std::path::Path;

use anyhow::Context as _;
use fleet_protocol::boot_info::BOOT_INFO_PATH;
use fleet_protocol::{BootInfo, Event, Health};
use image_format::device::Device as _;
use image_format::disk_layout::Partition;
use image_format::record::Record;
use image_format::slot_layout::Extent;
use image_format::state::Note;
use image_format::{Manifest, ObjectId, Slot};

use super::remember::{change, remember};
use super::session::Session;
use super::{identity, recover};
use crate::boot::{self, Paths, kexec, root, state, switch_root, verity};
use crate::console::{peak_memory_kib, uptime};
use crate::disk::{BootDisk, SlotImage};
use crate::fleet::evidence;
use crate::say;

/// Whether this start of the slot was counted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Not yet.
    Now,
    /// By the agent that made the kexec: this attempt.
    Counted(Option<u8>),
}

/// After how many boots without a verdict, and again after as many, a slot is read before it is booted.
const SUSPICIOUS: u8 = 3;

/// Starts `slot`, and not the wanted one where `why` says so. Returns only when it cannot be started: then it is marked damaged, and the next decision is another one.
///
/// # Errors
/// The record cannot be saved: without that nothing may be started.
pub(super) fn start(
    session: &mut Session<'_>,
    slot: Slot,
    count: Count,
    why: Option<&Note>,
) -> anyhow::Result<()> {
    let error = match try_start(session, slot, count, why) {
        Ok(never) => match never {},
        Err(Failure::Fatal(error)) => return Err(error),
        Err(Failure::Slot(error)) => error,
    };
    let reason = format!("{error:#}");
    say!("boot: slot {slot} cannot be started: {reason}; it is marked damaged");
    change(session, |state| state.damaged(slot, &reason))?;
    session.report(Event::Failed, Health::Pending, &format!("slot {slot} cannot be started: {reason}"));
    Ok(())
}

enum Failure {
    /// About the slot.
    Slot(anyhow::Error),
    /// About everything.
    Fatal(anyhow::Error),
}

fn try_start(
    session: &mut Session<'_>,
    slot: Slot,
    count: Count,
    why: Option<&Note>,
) -> Result<std::convert::Infallible, Failure> {
    // A read that fails once must not cost a confirmed slot.
    let again = |what: &str, error: anyhow::Error| say!("boot: {what} of slot {slot}: {error:#}; once more");
    let image = check(session, slot)
        .or_else(|error| {
            again("manifest", error);
            check(session, slot)
        })
        .map_err(Failure::Slot)?;
    suspect(session, slot, &image)
        .or_else(|error| {
            again("content", error);
            suspect(session, slot, &image)
        })
        .map_err(Failure::Slot)?;
    let kexec_to = (count == Count::Now).then(|| other_kernel(session, &image.manifest)).flatten();
    let attempt = match count {
        Count::Counted(attempt) => attempt,
        Count::Now => {
            let kexec = kexec_to.is_some();
            let count = |record: &mut Record| {
                record.unfinished_boots = record.unfinished_boots.saturating_add(1);
                if kexec { record.state.begin_kexec(slot) } else { record.state.begin_boot(slot) }.map(drop)
            };
            remember(session, count).map_err(Failure::Fatal)?;
            session.record.state.attempt(slot)
        }
    };
    session.running.slot = Some(slot);
    session.running.image = session.record.state.slot(slot).image().cloned();
    session.running.attempt = attempt;
    let which = attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    let why = why.map(|note| format!(": {note}")).unwrap_or_default();
    let message = format!("booting {} from slot {slot}{which}{why}", image.manifest.name);
    say!("boot: {message}");
    session.report(Event::Booting, Health::Pending, &message);
    if let Some(kernel) = kexec_to {
        let error = match hand_over(session, slot, &image, kernel) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // The running kernel may do as well, if its modules fit; the health checks will tell.
        say!("boot: kexec: {error:#}; going on with the running kernel {}", session.environment.release);
        change(session, |state| state.arrived(slot).map(drop)).map_err(Failure::Fatal)?;
    }
    let disk = session.disk.as_ref().ok_or_else(|| Failure::Fatal(anyhow::anyhow!("no disk")))?;
    let paths = Paths { run: Path::new(boot::RUN), sysroot: Path::new(boot::SYSROOT) };
    mount(disk, slot, &image, &paths).map_err(Failure::Slot)?;
    match state::attach(&disk.partition_path(Partition::State), &image.manifest, session.mac(), &paths) {
        Ok(()) => {
            say!("boot: state partition is mounted");
            identity::adopt(session, &paths.run.join("state"));
        }
        Err(error) => say!("boot: state: {error:#}; going on with a volatile /var"),
    }
    let disk = session.disk.as_ref().ok_or_else(|| Failure::Fatal(anyhow::anyhow!("no disk")))?;
    leave_info(session, disk, slot, image.manifest, attempt).map_err(Failure::Fatal)?;
    let own = uptime().saturating_sub(session.environment.started);
    let peak = peak_memory_kib().unwrap_or(0) / 1024;
    say!("boot: switching to the system after {:.2} s, peak memory {peak} MiB", own.as_secs_f64());
    switch_root::switch(paths.sysroot).map_err(Failure::Fatal)
}

/// What the slot says it holds must be what the record says was verified, and must have been released.
fn check(session: &Session<'_>, slot: Slot) -> anyhow::Result<SlotImage> {
    let disk = session.disk.as_ref().context("no disk")?;
    let image = disk.slot_image(slot)?;
    let expected = session.record.state.slot(slot).image().map(|image| image.manifest);
    anyhow::ensure!(
        expected == Some(image.digest),
        "manifest in the slot: expected {}, found {}",
        expected.map_or_else(|| "none".to_owned(), |digest| digest.to_string()),
        image.digest
    );
    evidence::check(
        &session.environment.root_json,
        &image.evidence,
        &session.record,
        &image.manifest.name,
        image.digest,
    )?;
    Ok(image)
}

/// Reads the whole slot when the last boots brought no verdict: a corrupt block restarts the machine, and without this a
/// confirmed slot with one would restart it for ever.
fn suspect(session: &mut Session<'_>, slot: Slot, image: &SlotImage) -> anyhow::Result<()> {
    let unfinished = session.record.unfinished_boots;
    let Some(disk) =
        session.disk.as_ref().filter(|_| unfinished > 0 && unfinished.is_multiple_of(SUSPICIOUS))
    else {
        return Ok(());
    };
    say!("boot: {unfinished} boots without a verdict: reading slot {slot} before the next one");
    recover::verify(&disk.slot(slot), image)?;
    say!("boot: slot {slot} is whole");
    Ok(())
}

/// The slot's kernel when another one is running. Without `bascule.kernel` the release has to do.
fn other_kernel(session: &Session<'_>, manifest: &Manifest) -> Option<ObjectId> {
    let kernel = manifest.kernel.object.id;
    let same = match session.environment.cmdline.kernel {
        Some(running) => running == kernel,
        None => session.environment.release == manifest.kernel.release,
    };
    (!same).then_some(kernel)
}

fn hand_over(
    session: &Session<'_>,
    slot: Slot,
    image: &SlotImage,
    kernel: ObjectId,
) -> anyhow::Result<std::convert::Infallible> {
    let disk = session.disk.as_ref().context("no disk")?;
    let kernel_bytes = object(disk, slot, image.layout.kernel, kernel).context("kernel in the slot")?;
    let initramfs = object(disk, slot, image.layout.initramfs, image.manifest.initramfs.id)
        .context("initramfs in the slot")?;
    let cmdline =
        format!("{} {}", image.manifest.kernel.cmdline, session.environment.cmdline.for_kexec(kernel));
    say!("boot: kexec of kernel {} ({})", image.manifest.kernel.release, kernel.short());
    kexec::start(&kernel_bytes, &initramfs, &cmdline)
}

fn object(disk: &BootDisk, slot: Slot, extent: Extent, expected: ObjectId) -> anyhow::Result<Vec<u8>> {
    let bytes = disk.slot(slot).read_vec(extent.offset, usize::try_from(extent.len)?)?;
    let found = ObjectId::of(&bytes);
    anyhow::ensure!(found == expected, "expected {expected}, found {found}");
    Ok(bytes)
}

fn mount(disk: &BootDisk, slot: Slot, image: &SlotImage, paths: &Paths<'_>) -> anyhow::Result<()> {
    let device = disk.partition_path(Partition::Slot(slot));
    let mapped = verity::open(slot, &image.manifest.root, &image.layout, &device)?;
    if let Err(error) = root::assemble(&mapped, paths) {
        if let Err(left) = verity::close(slot) {
            say!("boot: {left:#}");
        }
        return Err(error);
    }
    say!("boot: {} through dm-verity on {}", device.display(), mapped.display());
    Ok(())
}

/// Leaves a description of this boot for the health service.
fn leave_info(
    session: &Session<'_>,
    disk: &BootDisk,
    slot: Slot,
    manifest: Manifest,
    attempt: Option<u8>,
) -> anyhow::Result<()> {
    let image = session.record.state.slot(slot).image().context("the slot is empty")?;
    let remembered = || session.record.servers.admin.clone();
    let info = BootInfo {
        node: session.node().context("this node has no identity: no interface address is known")?,
        group: session.running.group.clone(),
        slot,
        image: image.name.clone(),
        manifest_digest: image.manifest,
        manifest,
        attempt,
        record_device: disk.partition_path(Partition::Record).display().to_string(),
        disk_device: disk.path().display().to_string(),
        report_url: session.admin.as_ref().map(ToString::to_string).or_else(remembered),
        fetched_bytes: session.running.fetched_bytes,
    };
    let json = serde_json::to_vec(&info).context("describe this boot")?;
    std::fs::create_dir_all(boot::RUN).context("create /run/bascule")?;
    std::fs::write(BOOT_INFO_PATH, json).with_context(|| format!("write {BOOT_INFO_PATH}"))
}
