//! Getting the wanted image onto the disk.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use fleet_protocol::{Event, Health};
use image_format::evidence::Evidence;
use image_format::record::ImageRef;
use image_format::{ObjectId, Slot};

use super::session::Session;
use super::storage;
use crate::disk::install::{Context, Job, News, Phase, Progress};
use crate::disk::{BootDisk, InstallStats, Update, UpdateError};
use crate::fleet::ways::{Prepared, prepare};
use crate::fleet::{Server, Wish, evidence};
use crate::say;
use crate::sys;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(3);

/// How long nothing may be heard of the server before an installation begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest command line that is given to the local boot loader with all words: two of them must fit into one sector.
const LOCAL_CMDLINE_MAX: usize = 170;

/// Makes a disk ours.
///
/// # Errors
/// There is no wish that says how, or no disk that may be used.
pub(super) fn lay_out(session: &mut Session<'_>) -> anyhow::Result<()> {
    let Some(wish) = &session.wish else {
        let reason = session.no_wish.clone().unwrap_or_default();
        anyhow::bail!(
            "nothing to boot: there is no Bascule disk, and it is not known what to install: {reason}"
        );
    };
    let disk = storage::create(&session.survey, &wish.manifest.disk, wish.pin.disk.as_ref())?;
    disk.save_record(&session.record).context("save the first boot record")?;
    session.disk = Some(disk);
    Ok(())
}

/// Installs the wanted image into `slot` and leaves it on trial.
///
/// # Errors
/// What failed; the slot is not bootable then, and the next try takes up what is there.
pub(super) fn install(session: &mut Session<'_>, slot: Slot) -> anyhow::Result<()> {
    let wish = session.wish.clone().context("no image is wanted")?;
    let name = wish.manifest.name.clone();
    session.running.slot = Some(slot);
    session.running.image = Some(ImageRef::of(&wish.manifest, wish.digest));
    session.report(Event::Installing, Health::Pending, &format!("installing {name} into slot {slot}"));

    let disk = session.disk.as_ref().context("no disk to install on")?;
    let server = session.server.as_mut().context("no server to install from")?;
    let start = Instant::now();
    let (stats, lists) =
        write(disk, server, &mut session.record, &wish, slot, &session.environment.root_json)?;
    let took = start.elapsed().as_secs_f64();
    let fetched = stats.fetched_bytes() + lists;
    let message = format!(
        "{name} installed into slot {slot} in {took:.1} s: fetched {fetched} bytes ({}), {} bytes found here, {} of zeros",
        by_way(&stats, lists),
        stats.in_place_bytes + stats.seed_bytes,
        stats.zero_bytes
    );
    if stats.seed_mismatches > 0 {
        say!(
            "install: {} chunks on the disk were not what they should be: fetched anew",
            stats.seed_mismatches
        );
    }
    say!("install: {message}");
    session.running.fetched_bytes = Some(fetched);
    boot_loader(disk, server, &wish);
    session.report(Event::Installed, Health::Pending, &message);
    Ok(())
}

/// What was fetched, by what it is; `lists` are the bytes of indexes and tables.
fn by_way(stats: &InstallStats, lists: u64) -> String {
    let parts = [
        ("of the patch", stats.fetched_patch_bytes),
        ("of the stream", stats.fetched_stream_bytes),
        (&format!("in {} chunks", stats.fetched_chunks), stats.fetched_chunk_bytes),
        ("kernel and initramfs", stats.fetched_object_bytes),
        ("lists", lists),
    ];
    let some = parts.iter().filter(|(_, bytes)| *bytes > 0);
    some.map(|(what, bytes)| format!("{bytes} {what}")).collect::<Vec<_>>().join(", ")
}

fn write(
    disk: &BootDisk,
    server: &mut Server,
    record: &mut image_format::record::Record,
    wish: &Wish,
    slot: Slot,
    embedded: &[u8],
) -> anyhow::Result<(InstallStats, u64)> {
    let evidence = Evidence::of(record).context("no verified metadata to install by")?;
    evidence::proves(embedded, &evidence, &wish.manifest.name, wish.digest)
        .context("the next boot would not believe this image")?;
    let evidence = evidence.to_bytes().context("keep the metadata with the image")?;
    server.be_patient(PATIENCE);
    let (seed, held) = (disk.slot_image(!slot).ok(), disk.slot_image(slot).ok());
    let mut prepared =
        prepare(server, wish, seed.as_ref(), held.as_ref()).context("prepare the installation")?;
    // The installation reads them itself, after it has decided what may still be believed.
    drop((seed, held));
    let mut run = |server: &mut Server, prepared: &Prepared| {
        let job = Job {
            manifest_bytes: &wish.manifest_bytes,
            manifest: &wish.manifest,
            index_bytes: &prepared.index,
            evidence: &evidence,
            resume: false,
            ways: prepared.ways(),
        };
        let local_cmdline = local_cmdline(&wish.manifest.kernel.cmdline, wish.manifest.kernel.object.id);
        let update = Update { slot, running: None, job, local_cmdline: &local_cmdline };
        let mut meter = Meter::default();
        let mut context = Context {
            source: server,
            cold: &|| sys::block::drop_cache(disk.file()),
            progress: &mut |news| meter.tell(&news),
        };
        update.run(disk, record, &mut context)
    };
    let mut result = run(server, &prepared);
    if let Err(UpdateError::Install { source, .. }) = &result
        && source.blames_source()
        && prepared.add_stream(server)
    {
        say!("install: {}; taking the whole stream for the rest", chain(source));
        result = run(server, &prepared);
    }
    let stats = result?;
    Ok((stats, prepared.fetched))
}

/// The command line for the local boot loader. A long one goes without the kernel's id, which is then told by its release.
fn local_cmdline(cmdline: &str, kernel: ObjectId) -> String {
    let full = format!("{cmdline} bascule.kernel={kernel} bascule.boot=local");
    if full.len() <= LOCAL_CMDLINE_MAX { full } else { format!("{cmdline} bascule.boot=local") }
}

/// Puts the local boot loader on the disk where the image brings another one. Without it the node still boots from the network.
fn boot_loader(disk: &BootDisk, server: &mut Server, wish: &Wish) {
    let Some(bios) = &wish.manifest.bios else { return };
    let mut put = || -> anyhow::Result<bool> {
        if disk.bios_boot_is(bios.object.id)? {
            return Ok(false);
        }
        let object = server.object(bios.object.id, bios.object.size)?;
        let found = ObjectId::of(&object);
        anyhow::ensure!(found == bios.object.id, "expected object {}, found {found}", bios.object.id);
        disk.write_bios_boot(&object)?;
        Ok(true)
    };
    match put() {
        Ok(true) => say!("boot loader: written"),
        Ok(false) => {}
        Err(error) => say!("boot loader: {error:#}; this node boots from the network only"),
    }
}

/// Lines of progress.
#[derive(Debug, Default)]
struct Meter {
    /// The phase, its start, and how much was done then.
    phase: Option<(Phase, Instant, u64)>,
    last: Option<Instant>,
}

impl Meter {
    fn tell(&mut self, news: &News<'_>) {
        match news {
            News::Progress(progress) => self.show(*progress),
            News::Plan { plan, again: false } => say!("install: {plan}"),
            News::Plan { plan, again: true } => say!("install: what is left: {plan}"),
            News::Failed { way, error } => say!("install: no {way} any more: {}", chain(*error)),
        }
    }

    fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        let (started, before) = match self.phase {
            Some((phase, started, before)) if phase == progress.phase => (started, before),
            _ => {
                self.phase = Some((progress.phase, now, progress.done));
                self.last = Some(now);
                return;
            }
        };
        if self.last.is_some_and(|last| now - last < PROGRESS) {
            return;
        }
        self.last = Some(now);
        let seconds = (now - started).as_secs_f64().max(0.001);
        say!("{}", line(progress, (progress.done - before.min(progress.done)) as f64 / seconds / 1e6));
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn line(progress: Progress, rate: f64) -> String {
    let what = match progress.phase {
        Phase::Local => "looking for chunks on the disk",
        Phase::Fetch => "fetching chunks",
        Phase::Objects => "kernel and initramfs",
        Phase::ReadBack => "reading back",
    };
    let percent = 100 * u128::from(progress.done) / u128::from(progress.total.max(1));
    let (done, total) = (progress.done >> 20, progress.total >> 20);
    format!("install: {what}: {percent} % of {total} MiB ({done} MiB, {rate:.1} MB/s)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_for_people() {
        let progress = Progress { phase: Phase::Fetch, done: 50 << 20, total: 200 << 20 };
        assert_eq!(line(progress, 12.34), "install: fetching chunks: 25 % of 200 MiB (50 MiB, 12.3 MB/s)");
        let empty = Progress { phase: Phase::ReadBack, done: 0, total: 0 };
        assert_eq!(line(empty, 0.0), "install: reading back: 0 % of 0 MiB (0 MiB, 0.0 MB/s)");
    }

    #[test]
    fn a_long_command_line_goes_without_the_kernel() {
        let kernel = ObjectId::from_bytes([7; 32]);
        let short = local_cmdline("console=ttyS0,115200 panic=10", kernel);
        assert_eq!(
            short,
            format!("console=ttyS0,115200 panic=10 bascule.kernel={kernel} bascule.boot=local")
        );
        let long = "x".repeat(100);
        assert_eq!(local_cmdline(&long, kernel), format!("{long} bascule.boot=local"));
    }
}
