//! `imgtool diff`: what changes for a node that goes from one image to another.

use anyhow::Context as _;
use image_format::manifest::{Check, FILES_MAX, Health};
use image_format::store::Store;
use image_format::{ImageName, Manifest};
use serde::Serialize;

use super::inspect::probe_text;
use crate::build::files::{self, FileEntry};
use crate::build::provenance_differences;
use crate::context::Context;
use crate::diff::Changed;
use crate::diff::files::{FileChange, FileDiff};
use crate::diff::packages::PackageDiff;
use crate::diff::transfer::{Tables, Transfer};
use crate::publish::read_index;
use crate::repo::Repo;
use crate::subject::Subject;
use crate::ui::size::{bytes, count, percent, plural};
use crate::ui::style::{bad, dim, good, strong, warn};
use crate::ui::table::{Table, properties};

const EXAMPLES: &str = "\
Examples:
  imgtool diff ha@1 ha@2
  imgtool diff ha@1 ha@2 --files
  imgtool diff ha@1 ha@2 --json | jq .fetch_bytes";

/// Files of one kind shown without `--files`.
const FILES_SHOWN: usize = 8;

/// Show what changes from image A to image B, and how much a node with A fetches for B
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image that a node has
    #[arg(value_name = "A", value_parser = Subject::parse)]
    from: Subject,

    /// The image that it goes to
    #[arg(value_name = "B", value_parser = Subject::parse)]
    to: Subject,

    /// List all files that differ
    #[arg(long)]
    files: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    from: ImageName,
    to: ImageName,
    /// Whether both are the very same image.
    identical: bool,
    /// `fetch.total_bytes` again, for short; 0 when both are the same image.
    fetch_bytes: u64,
    fetch: Transfer,
    root_bytes: Changed<u64>,
    kernel: Option<Changed<String>>,
    kernel_object: bool,
    initramfs: bool,
    cmdline: Option<Changed<String>>,
    /// None if nothing differs.
    health: Option<Changed<Health>>,
    /// Which inputs of the builds differ.
    made_of: Vec<&'static str>,
    packages: PackageDiff,
    files: FileDiff,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let store = repo.store()?;
    let view = repo.view(&store)?;
    let (a, b) = (args.from.find(&repo, &view)?, args.to.find(&repo, &view)?);
    let identical = a.digest == b.digest;
    let listed = view.patches.get(&b.manifest.name).filter(|patches| patches.manifest == b.digest);
    let tables = listed.map_or(Ok(Tables::default()), |patches| Tables::read(&store, patches, &a.digest))?;
    let (a, b) = (a.manifest, b.manifest);
    let fetch = Transfer::of((&a, &read_index(&store, &a)?), (&b, &read_index(&store, &b)?), &tables);
    let report = Report {
        fetch_bytes: if identical { 0 } else { fetch.total_bytes },
        fetch,
        files: FileDiff::of(file_list(&store, &a)?, file_list(&store, &b)?),
        packages: PackageDiff::of(&a.packages, &b.packages),
        root_bytes: Changed { from: a.root.size, to: b.root.size },
        kernel_object: a.kernel.object.id != b.kernel.object.id,
        initramfs: a.initramfs.id != b.initramfs.id,
        made_of: provenance_differences(a.provenance.as_ref(), b.provenance.as_ref())
            .into_iter()
            .filter_map(|(what, differs)| differs.then_some(what))
            .collect(),
        kernel: Changed::of(a.kernel.release, b.kernel.release),
        cmdline: Changed::of(a.kernel.cmdline, b.kernel.cmdline),
        health: Changed::of(a.health, b.health),
        from: a.name,
        to: b.name,
        identical,
    };
    context.ui.show(&report, |report| text(report, args.files))
}

fn file_list(store: &Store, manifest: &Manifest) -> anyhow::Result<Vec<FileEntry>> {
    let what = || format!("read the file list of {}", manifest.name);
    let bytes = store.read(manifest.files.id, FILES_MAX).with_context(what)?;
    files::decode(&bytes).with_context(what)
}

fn text(report: &Report, all_files: bool) -> String {
    let mut text = format!("{} → {}\n", strong(&report.from), strong(&report.to));
    if report.identical {
        return text + "The same image.\n";
    }
    text += &fetch(report);
    text += &system(report);
    text += &packages(&report.packages);
    text + &files_text(&report.files, all_files)
}

fn heading(name: &str, summary: &str) -> String {
    format!("\n{}  {summary}", strong(name)).trim_end_matches(' ').to_owned() + "\n"
}

fn fetch(report: &Report) -> String {
    let fetch = &report.fetch;
    let part = |size: u64| if size == 0 { dim("unchanged") } else { bytes(size) };
    let share = percent(fetch.total_bytes, fetch.full_bytes);
    let total = format!(
        "{} ({} bytes), {share} of a full installation ({})",
        strong(bytes(fetch.total_bytes)),
        count(fetch.total_bytes),
        bytes(fetch.full_bytes)
    );
    let chunks = usize::try_from(fetch.chunks).unwrap_or(usize::MAX);
    let way = |cost: u64| match bytes(cost) {
        text if cost == fetch.ways.best => good(text),
        text => text,
    };
    let mut lines = vec![("by chunks", format!("{}, {}", plural(chunks, "object"), way(fetch.ways.chunks)))];
    lines.extend(fetch.ways.patch.map(|cost| ("by patch", way(cost))));
    lines.extend(fetch.ways.stream.map(|cost| ("by stream", way(cost))));
    if fetch.table_bytes > 0 {
        lines.push(("tables", bytes(fetch.table_bytes)));
    }
    lines.extend([
        ("kernel", part(fetch.kernel_bytes)),
        ("initramfs", part(fetch.initramfs_bytes)),
        ("index", bytes(fetch.index_bytes)),
    ]);
    heading("A node fetches", &total) + &properties(&lines)
}

fn system(report: &Report) -> String {
    let arrow = |from: &str, to: &str| format!("{} → {}", bad(from), good(to));
    let unchanged = || dim("unchanged");
    let Changed { from, to } = report.root_bytes;
    let kernel = match &report.kernel {
        Some(Changed { from, to }) => arrow(from, to),
        None if report.kernel_object => warn("same release, another file"),
        None => unchanged(),
    };
    let cmdline = report.cmdline.as_ref().map_or_else(unchanged, |Changed { from, to }| arrow(from, to));
    let root = if from == to { bytes(to) } else { format!("{} → {}", bytes(from), bytes(to)) };
    let health = if report.health.is_some() { warn("changed") } else { unchanged() };
    let made_of = if report.made_of.is_empty() {
        dim("the same inputs")
    } else {
        warn(format!("other {}", report.made_of.join(", ")))
    };
    let mut text = heading("System", "");
    text += &properties(&[
        ("root size", root),
        ("kernel", kernel),
        ("initramfs", if report.initramfs { warn("changed") } else { unchanged() }),
        ("command line", cmdline),
        ("health", health),
        ("made of", made_of),
    ]);
    if let Some(Changed { from, to }) = &report.health {
        text += &health_lines(from, to);
    }
    text
}

fn health_lines(a: &Health, b: &Health) -> String {
    let gate =
        |health: &Health| format!("{} of {} s", plural(health.attempts.into(), "attempt"), health.deadline_s);
    let mut text = String::new();
    if gate(a) != gate(b) {
        text += &format!("    {} {} → {}\n", warn("~"), gate(a), gate(b));
    }
    let line =
        |check: &Check| format!("{} ({}, {} s)", check.name, probe_text(&check.probe), check.timeout_s);
    for check in a.checks.iter().filter(|check| !b.checks.contains(check)) {
        text += &format!("    {} {}\n", bad("-"), line(check));
    }
    for check in b.checks.iter().filter(|check| !a.checks.contains(check)) {
        text += &format!("    {} {}\n", good("+"), line(check));
    }
    text
}

fn packages(diff: &PackageDiff) -> String {
    if diff.is_empty() {
        return heading("Packages", &dim("unchanged"));
    }
    let numbers = [diff.added.len(), diff.removed.len(), diff.changed.len()];
    let mut text = heading("Packages", &summary(numbers));
    let mut table = Table::new(["", "", "", ""]);
    for package in &diff.added {
        table.row([good("  +"), package.name.clone(), package.version.clone()]);
    }
    for package in &diff.removed {
        table.row([bad("  -"), package.name.clone(), package.version.clone()]);
    }
    for change in &diff.changed {
        table.row([
            warn("  ~"),
            change.name.clone(),
            format!("{} → {}", change.version.from, change.version.to),
        ]);
    }
    text.extend(table.render().lines().skip(1).map(|line| format!("{line}\n")));
    text
}

fn files_text(diff: &FileDiff, all: bool) -> String {
    let numbers = [diff.added.len(), diff.removed.len(), diff.changed.len()];
    if numbers == [0; 3] {
        return heading("Files", &dim("unchanged"));
    }
    let mut text = heading("Files", &summary(numbers));
    let kinds = [(good("  +"), &diff.added), (bad("  -"), &diff.removed), (warn("  ~"), &diff.changed)];
    for (mark, changes) in kinds {
        // The largest matter most; with --files the list is in order of path.
        let mut shown: Vec<&FileChange> = changes.iter().collect();
        if !all && shown.len() > FILES_SHOWN {
            shown.sort_by(|a, b| (b.size, &a.path).cmp(&(a.size, &b.path)));
            shown.truncate(FILES_SHOWN);
        }
        let hidden = changes.len() - shown.len();
        for FileChange { path, size, what } in shown {
            let what = if what.is_empty() || what == &["content"] { String::new() } else { what.join(", ") };
            text += &format!("{mark} {path}  {}\n", dim(format!("{} {what}", bytes(*size)).trim_end()));
        }
        if hidden > 0 {
            text += &format!(
                "{mark} {}\n",
                dim(format!("… and {} more (--files lists them)", count(hidden as u64)))
            );
        }
    }
    text
}

fn summary([added, removed, changed]: [usize; 3]) -> String {
    let number = |number: usize| count(number as u64);
    format!("{} added, {} removed, {} changed", number(added), number(removed), number(changed))
}
