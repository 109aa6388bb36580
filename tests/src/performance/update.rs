//! Writing an image into a slot: the agent's own code on a file-backed disk, in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::contest::{self, Contender, Sample, command};
use super::ignore_absent;
use super::pair::{NEW, OLD};
use super::peers::{Casync, size};
use super::report::{Report, Row};
use crate::{process, workspace};

/// Nodes' disks, and what a node would be told about patches.
pub(super) struct Slot<'b> {
    bench: &'b Bench<'b>,
    /// A disk with the old image in slot A.
    seeded: PathBuf,
    /// The disk that is written to.
    disk: PathBuf,
    /// The signed list of patches to the new image.
    patches: Value,
    /// Bytes of signed metadata and manifest that any node fetches.
    metadata: u64,
}

/// How a node comes to the new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Chunks,
    Patch,
    Stream,
}

impl<'b> Slot<'b> {
    /// Makes the patch and the stream, and installs the old image on a disk.
    pub(super) fn prepare(bench: &'b Bench<'b>, effort: &str) -> Result<(Self, Sample)> {
        let make = Contender::new(&format!("imgtool patch --effort {effort} --stream"), || {
            let mut make = Command::new(workspace::program("imgtool"));
            make.args(["--json", "--repo"]).arg(&bench.pair.repo);
            make.args(["patch", OLD, NEW, "--stream", "--effort", effort]);
            make
        });
        let made = contest::hold(bench.view, 1, &[make])?.remove(0);
        let patches = signed_patches(&bench.pair.repo)?;
        let seeded = bench.work.join("seeded.disk");
        if !seeded.exists() {
            let mut install = slot_update(bench, &seeded, OLD, "A");
            install.arg("--create");
            process::run(&install, bench.view)?.success("slot-update --create")?;
        }
        let metadata = newest_metadata(&bench.pair.repo)? + size(&manifest(bench, NEW))?;
        let disk = bench.work.join("node.disk");
        Ok((Self { bench, seeded, disk, patches, metadata }, made))
    }

    /// Makes the disk as it was before the update, and what the kernel knows of it clean.
    pub(super) fn reset(&self) -> Result<()> {
        let mut copy = Command::new("cp");
        copy.args(["--sparse=always", "--reflink=never"]).args([&self.seeded, &self.disk]);
        process::run(&copy, self.bench.view)?.success("cp")?;
        process::run(command("sync", [&self.disk]).arg("--file-system"), self.bench.view)?.success("sync")?;
        Ok(())
    }

    /// The update.
    pub(super) fn command(&self, way: Way) -> Result<Command> {
        let mut update = slot_update(self.bench, &self.disk, NEW, "B");
        match way {
            Way::Chunks => {}
            Way::Patch => {
                update.arg("--patch").arg(text(&self.patches, "/patches/0/table/id")?);
            }
            Way::Stream => {
                update.arg("--create").arg("--stream").arg(text(&self.patches, "/stream/table/id")?);
            }
        }
        Ok(update)
    }

    /// Bytes that a node fetches for the root image, index and metadata included.
    pub(super) fn fetched(&self, way: Way) -> Result<u64> {
        match way {
            Way::Stream => fs::remove_file(&self.disk).or_else(ignore_absent)?,
            Way::Chunks | Way::Patch => self.reset()?,
        }
        let output = process::run(&self.command(way)?, self.bench.view)?.success("slot-update")?;
        let told: Value = serde_json::from_str(&output.stdout).context("slot-update printed no JSON")?;
        let bytes = |key: &str| number(&told, &format!("/bytes/{key}"));
        let by = |key: &str| number(&self.patches, key);
        let expected = match way {
            Way::Chunks => "fetched_chunks",
            Way::Patch => "fetched_patch",
            Way::Stream => "fetched_stream",
        };
        ensure!(bytes(expected)? > 0, "slot-update took another way than {way:?}: {told}");
        let index = size_of_index(self.bench)?;
        let about = match way {
            Way::Chunks => index,
            Way::Patch => by("/patches/0/index/size")? + by("/patches/0/table/size")?,
            Way::Stream => index + by("/stream/table/size")?,
        };
        Ok(bytes("fetched")? - bytes("fetched_objects")? + about + self.metadata)
    }
}

/// Measures.
pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let Bench { view, work, pair, runs } = bench;
    let (slot, _) = Slot::prepare(bench, "normal")?;
    let [plain_old, plain_new] = &pair.plain;
    let casync = Casync::make(view, work, "update", plain_new)?;
    let (copy, extracted) = (work.join("copy"), work.join("extracted"));
    let remove = |path: &Path| fs::remove_file(path).or_else(ignore_absent).context("remove a file");
    let extract = |seed: Option<&Path>| {
        let mut extract = command("casync", [&"extract"]);
        extract.arg(format!("--store={}", casync.store.display()));
        extract.args(seed.map(|seed| format!("--seed={}", seed.display())));
        extract.args([&casync.index, &extracted]);
        extract
    };
    // Both parse: a wrong table is found before the first turn.
    slot.command(Way::Patch)?;
    let update = |way| move |slot: &Slot<'_>| slot.command(way).expect("was made before the first turn");
    let (chunks, patch) = (update(Way::Chunks), update(Way::Patch));
    let samples = contest::hold(
        view,
        *runs,
        &[
            Contender::new("bascule: chunks, flushed and read back", || chunks(&slot)).after(|| slot.reset()),
            Contender::new("bascule: patch, flushed and read back", || patch(&slot)).after(|| slot.reset()),
            Contender::new("dd conv=fsync of the whole image", || {
                let mut dd = Command::new("dd");
                dd.args(["bs=1M", "conv=fsync"]);
                dd.arg(format!("if={}", pair.new.display())).arg(format!("of={}", copy.display()));
                dd
            })
            .after(|| remove(&copy)),
            Contender::new("b3sum of the whole image", || command("b3sum", [&pair.new])),
            Contender::new("casync extract, not flushed", || extract(None)).after(|| remove(&extracted)),
            Contender::new("casync extract --seed, not flushed", || extract(Some(plain_old)))
                .after(|| remove(&extracted)),
        ],
    )?;
    let phases = samples[..2].iter().map(phases).collect::<Result<Vec<_>>>()?;
    let floor = samples[2].median() + 2.0 * samples[3].median();
    report.samples("Updating a slot, everything warm", &samples);
    report.table("Where the time of an update goes, last turn", &["way", "phases, seconds"], &phases);
    report.at_most("update by chunks : dd conv=fsync + 2 b3sum", samples[0].median(), floor, 1.5);
    report.at_most("update by patch : dd conv=fsync + 2 b3sum", samples[1].median(), floor, 1.5);
    let most = samples[..2].iter().map(|sample| sample.peak_kib).max().unwrap_or(0);
    report.at_most("peak memory of an update : 64 MiB", most as f64, 65_536.0, 1.0);
    Ok(())
}

fn phases(sample: &Sample) -> Result<Row> {
    let told: Value = serde_json::from_str(&sample.stdout).context("slot-update printed no JSON")?;
    Ok(Row {
        name: sample.name.clone(),
        value: told["seconds"].as_f64().unwrap_or(0.0),
        cells: vec![told["phases"].to_string()],
    })
}

fn slot_update(bench: &Bench<'_>, disk: &Path, image: &str, slot: &str) -> Command {
    let mut update = Command::new(workspace::target_dir().join("release/slot-update"));
    update.arg("--disk").arg(disk).arg("--store").arg(bench.pair.repo.join("store"));
    update.arg("--manifest").arg(manifest(bench, image)).args(["--slot", slot]);
    update
}

fn manifest(bench: &Bench<'_>, image: &str) -> PathBuf {
    bench.pair.repo.join("builds").join(image).join("manifest.json")
}

fn size_of_index(bench: &Bench<'_>) -> Result<u64> {
    let path = manifest(bench, NEW);
    let manifest: Value =
        serde_json::from_slice(&fs::read(&path).with_context(|| format!("read {}", path.display()))?)?;
    number(&manifest, "/root/index/size")
}

/// The newest signed list of patches to the new image.
fn signed_patches(repo: &Path) -> Result<Value> {
    let dir = repo.join("store/tuf/targets/images");
    let mut found = Vec::new();
    for file in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
        let file = file?;
        if file.file_name().to_string_lossy().ends_with(&format!(".@patches.{NEW}.json")) {
            found.push((file.metadata()?.modified()?, file.path()));
        }
    }
    let (_, path) = found.into_iter().max().context("imgtool patch signed no list of patches")?;
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}

/// Bytes of the newest metadata of each role.
fn newest_metadata(repo: &Path) -> Result<u64> {
    let mut newest = std::collections::BTreeMap::new();
    let dir = repo.join("store/tuf/metadata");
    for file in fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let (version, role) = name.split_once('.').unwrap_or(("", &name));
        let known = newest.entry(role.to_owned()).or_insert((0_u64, 0_u64));
        *known = (*known).max((version.parse().unwrap_or(0), file.metadata()?.len()));
    }
    Ok(newest.values().map(|(_, size)| size).sum())
}

fn number(value: &Value, pointer: &str) -> Result<u64> {
    value.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no number {pointer} in {value}"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no text {pointer} in {value}"))
}
