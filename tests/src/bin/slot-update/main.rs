//! One update of a slot on a file-backed disk, by the agent's own code: for measuring time, bytes and memory of a whole process.
//!
//! ```text
//! slot-update --disk FILE --store DIR --manifest FILE --slot A|B [--create] [--patch TABLE] [--stream TABLE]
//! ```
//!
//! `--create` makes the disk first: everything in FILE is lost. `TABLE` is the object id of a segment table in the store. The store stands in for
//! the server. Prints one JSON object: seconds of each phase, bytes by where they came from, peak memory.

mod arguments;
mod phases;
mod source;

use std::fs::{self, File};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use image_format::device::{Device as _, FileDevice, Hint};
use image_format::disk_layout::Layout;
use image_format::manifest::ObjectRef;
use image_format::patch::SegmentTable;
use image_format::store::Store;
use image_format::{Manifest, ObjectId};
use initramfs_agent::console::peak_memory_kib;
use initramfs_agent::disk::install::{Context, Job, News, Table, Ways};
use initramfs_agent::disk::{BootDisk, Update};

use self::arguments::Arguments;
use self::phases::Phases;
use self::source::StoreSource;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slot-update: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let start = Instant::now();
    let manifest_bytes =
        fs::read(&arguments.manifest).with_context(|| format!("read {}", arguments.manifest.display()))?;
    let manifest = Manifest::parse(&manifest_bytes).context("parse the manifest")?;
    let store = Store::open(&arguments.store)?;
    let disk = open_disk(&arguments, &manifest)?;
    let index = manifest.root.index;
    let index_bytes = store.read(index.id, index.size).context("index of the root image")?;
    let table = |id: Option<ObjectId>| id.map(|id| read_table(&store, id)).transpose();
    let (patch, stream) = (table(arguments.patch)?, table(arguments.stream)?);
    let update = Update {
        slot: arguments.slot,
        running: None,
        job: Job {
            manifest_bytes: &manifest_bytes,
            manifest: &manifest,
            index_bytes: &index_bytes,
            evidence: b"none: nothing boots from here",
            resume: false,
            ways: Ways { patch: patch.as_ref(), stream: stream.as_ref() },
        },
        local_cmdline: "panic=10",
    };
    let mut record = disk.load_record().record.unwrap_or_default();
    let mut phases = Phases::begin();
    let mut plans = Vec::new();
    let mut context = Context {
        source: &mut StoreSource { store: &store },
        // What was flushed leaves the cache: the file's pages are clean by now.
        cold: &|| {
            disk.device().hint(Hint::Written, 0, disk.device().len());
            Ok(())
        },
        progress: &mut |news| match news {
            News::Progress(progress) => phases.enter(progress.phase),
            News::Plan { plan, .. } => plans.push(plan.to_string()),
            News::Failed { way, error } => plans.push(format!("no {way}: {error}")),
        },
    };
    let stats = update.run(&disk, &mut record, &mut context)?;
    let seconds = start.elapsed().as_secs_f64();
    let json = serde_json::json!({
        "seconds": seconds,
        "phases": phases.end(),
        "plans": plans,
        "bytes": {
            "zero": stats.zero_bytes,
            "in_place": stats.in_place_bytes,
            "seed": stats.seed_bytes,
            "decoded": stats.server_bytes,
            "fetched_chunks": stats.fetched_chunk_bytes,
            "fetched_patch": stats.fetched_patch_bytes,
            "fetched_stream": stats.fetched_stream_bytes,
            "fetched_objects": stats.fetched_object_bytes,
            "fetched": stats.fetched_bytes(),
        },
        "peak_memory_kib": peak_memory_kib(),
    });
    println!("{json}");
    Ok(())
}

fn open_disk(arguments: &Arguments, manifest: &Manifest) -> Result<BootDisk> {
    let path = &arguments.disk;
    if !arguments.create {
        return Ok(BootDisk::open_path(path)?);
    }
    // Room for both slots, the state partition, and what lies before them.
    let mib = 2 * manifest.disk.slot_mib + manifest.disk.state_mib + 512;
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    file.set_len(mib << 20).with_context(|| format!("make {} {mib} MiB long", path.display()))?;
    let device = FileDevice::open(path)?;
    let layout = Layout::plan(device.len(), &manifest.disk).context("plan the layout")?;
    let disk = BootDisk::new(&path.display().to_string(), device, layout);
    disk.write_layout(&|| Ok(()))?;
    Ok(disk)
}

fn read_table(store: &Store, id: ObjectId) -> Result<Table> {
    let bytes = store.read(id, image_format::patch::TABLE_MAX).context("segment table")?;
    ensure!(!bytes.is_empty(), "segment table {id}: empty");
    let object = ObjectRef { id, size: bytes.len() as u64 };
    Ok(Table { object, segments: SegmentTable::parse(&bytes)? })
}
