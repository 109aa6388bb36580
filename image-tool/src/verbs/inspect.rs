//! `imgtool inspect`: one image for people.

use anyhow::Context as _;
use image_format::manifest::provenance::{AllowedSecret, Archive};
use image_format::manifest::{Check, Probe, Provenance, SBOM_MAX};
use image_format::patches::Patches;
use image_format::store::Store;
use image_format::{Group, Manifest, Sha256, verity};
use serde::Serialize;

use crate::build::sbom;
use crate::chunks::ChunkStats;
use crate::context::Context;
use crate::date::day;
use crate::publish::read_index;
use crate::repo::Repo;
use crate::subject::{Found, Stage, Subject};
use crate::ui;
use crate::ui::size::{bytes, plural};
use crate::ui::style::{dim, good, strong, warn};
use crate::ui::table::{Table, properties};

const EXAMPLES: &str = "\
Examples:
  imgtool inspect ha@1
  imgtool inspect ha@1 --packages
  imgtool inspect ha@1 --sbom > ha@1.spdx.json
  imgtool inspect ./manifest.json
  imgtool inspect ha@1 --json | jq .manifest.kernel";

/// Show an image: sizes, kernel, verity, health checks, packages, what it was made of, chunks
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, visible_alias = "show")]
pub(crate) struct Args {
    /// A signed or built image, or a manifest file
    #[arg(value_name = "ROLE@VERSION|FILE", value_parser = Subject::parse)]
    image: Subject,

    /// List all packages
    #[arg(long)]
    packages: bool,

    /// Print the bill of materials (SPDX 2.3 JSON) and nothing else
    #[arg(long, conflicts_with = "packages")]
    sbom: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    stage: Stage,
    digest: Sha256,
    pinned_by: Vec<Group>,
    verity_bytes: u64,
    /// None if the index is not in the local store.
    chunks: Option<ChunkStats>,
    /// The signed list of patches; none if there is none.
    patches: Option<Patches>,
    manifest: Manifest,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let store = repo.store()?;
    let view = repo.view(&store)?;
    let Found { stage, digest, manifest } = args.image.find(&repo, &view)?;
    if args.sbom {
        return ui::print(&bill_of_materials(&store, &manifest)?);
    }
    let pins = view.pins.iter().filter(|(_, pin)| pin.stable.manifest == digest);
    let index = read_index(&store, &manifest);
    if let Err(error) = &index {
        context.ui.warn(&format!("{error:#}"));
    }
    let report = Report {
        stage,
        digest,
        pinned_by: pins.map(|(group, _)| group.clone()).collect(),
        verity_bytes: verity::tree_len(manifest.root.size),
        chunks: index.ok().map(|index| ChunkStats::of(&index)),
        patches: view.patches.get(&manifest.name).filter(|patches| patches.manifest == digest).cloned(),
        manifest,
    };
    context.ui.show(&report, |report| text(report, args.packages))
}

fn bill_of_materials(store: &Store, manifest: &Manifest) -> anyhow::Result<String> {
    let what = || format!("read the bill of materials of {}", manifest.name);
    let object = manifest.sbom.with_context(|| {
        format!("{}: manifest format {} has no bill of materials", manifest.name, manifest.format)
    })?;
    let bytes = store.read(object.id, SBOM_MAX).with_context(what)?;
    sbom::decode(&bytes).with_context(what)
}

fn text(report: &Report, packages: bool) -> String {
    let manifest = &report.manifest;
    let mut text = format!("{}  {}\n", strong(&manifest.name), state(report));
    text += &properties(&[
        ("manifest", report.digest.to_string()),
        ("counter", manifest.counter.to_string()),
        ("date", day(manifest.epoch)),
        ("for", format!("{}, class {}", manifest.arch, manifest.class)),
    ]);
    text += &heading("Root file system");
    text += &properties(&[
        ("size", format!("{} ({} bytes, EROFS)", bytes(manifest.root.size), manifest.root.size)),
        ("verity", manifest.root.verity.root_hash.to_string()),
        ("salt", manifest.root.verity.salt.to_string()),
        ("tree", format!("{}, computed by the node", bytes(report.verity_bytes))),
        ("index", format!("{}, object {}", bytes(manifest.root.index.size), manifest.root.index.id.short())),
    ]);
    text += &heading("Boot");
    let bios = manifest.bios.as_ref();
    text += &properties(&[
        ("kernel", format!("{}, {}", manifest.kernel.release, bytes(manifest.kernel.object.size))),
        ("command line", manifest.kernel.cmdline.clone()),
        ("initramfs", bytes(manifest.initramfs.size)),
        ("BIOS boot", bios.map_or_else(|| "no".to_owned(), |bios| bytes(bios.object.size))),
        (
            "disk",
            format!(
                "slots of {} MiB, state at least {} MiB",
                manifest.disk.slot_mib, manifest.disk.state_mib
            ),
        ),
    ]);
    text += &health(manifest);
    text += &heading("Content");
    let state_paths =
        if manifest.etc_state.is_empty() { "none".to_owned() } else { manifest.etc_state.join(", ") };
    text += &properties(&[
        ("packages", plural(manifest.packages.len(), "package")),
        ("kept in /etc", state_paths),
        ("file list", bytes(manifest.files.size)),
        ("bill of materials", manifest.sbom.map_or_else(|| "none".to_owned(), |sbom| bytes(sbom.size))),
    ]);
    text += &manifest.provenance.as_ref().map_or_else(String::new, provenance);
    if packages {
        let mut table = Table::new(["PACKAGE", "VERSION", "ARCH"]);
        for package in &manifest.packages {
            table.row([package.name.clone(), package.version.clone(), package.arch.clone()]);
        }
        text += &format!("\n{}", table.render());
    }
    if let Some(chunks) = &report.chunks {
        text += &heading("Chunks");
        text += &chunks.text();
    }
    text += &report.patches.as_ref().map_or_else(String::new, patches);
    text
}

fn patches(patches: &Patches) -> String {
    let mut table = Table::new(["FROM", ">BYTES"]);
    for patch in &patches.patches {
        let all = patch.bytes + patch.table.size + patch.index.size;
        table.row([patch.name.to_string(), bytes(all)]);
    }
    if let Some(stream) = &patches.stream {
        table.row(["nothing (whole stream)".to_owned(), bytes(stream.bytes + stream.table.size)]);
    }
    table.render().lines().fold(heading("Patches"), |text, line| text + &format!("  {line}\n"))
}

fn provenance(made_of: &Provenance) -> String {
    let mut lines = vec![
        ("built by", made_of.builder.clone()),
        ("recipe", made_of.recipe.to_string()),
        ("agent", made_of.agent.to_string()),
        ("trusted root", made_of.trusted_root.to_string()),
    ];
    for Archive { suite, components, snapshot } in &made_of.archives {
        let at = snapshot
            .as_ref()
            .map_or_else(String::new, |at| format!(", {} with InRelease {}", at.url, at.in_release));
        lines.push(("archive", format!("{suite} {}{at}", components.join(" "))));
    }
    for AllowedSecret { path, what, reason } in &made_of.allowed_secrets {
        lines.push(("allowed", warn(format!("{path} ({what}): {reason}"))));
    }
    heading("Made of") + &properties(&lines)
}

fn heading(text: &str) -> String {
    format!("\n{}\n", strong(text))
}

fn state(report: &Report) -> String {
    let stage = match report.stage {
        Stage::Signed => good("signed"),
        Stage::Built => warn("built, not signed"),
        Stage::File => dim("from a file"),
    };
    let groups: Vec<&str> = report.pinned_by.iter().map(Group::as_str).collect();
    if groups.is_empty() { stage } else { format!("{stage}, pinned by {}", groups.join(", ")) }
}

fn health(manifest: &Manifest) -> String {
    let health = &manifest.health;
    let attempts = plural(usize::from(health.attempts), "attempt");
    let mut text = heading("Health");
    text += &properties(&[("gate", format!("{attempts} of {} s", health.deadline_s))]);
    let mut table = Table::new(["CHECK", "PROBE", ">TIMEOUT"]);
    for Check { name, timeout_s, probe } in &health.checks {
        table.row([name.clone(), probe_text(probe), format!("{timeout_s} s")]);
    }
    for line in table.render().lines().filter(|_| !health.checks.is_empty()) {
        text += &format!("  {line}\n");
    }
    text
}

/// A probe in one line.
pub(crate) fn probe_text(probe: &Probe) -> String {
    match probe {
        Probe::Unit(unit) => format!("unit {unit}"),
        Probe::Command(words) => format!("command {}", words.join(" ")),
        Probe::Tcp(address) => format!("tcp {address}"),
        Probe::Http(url) => format!("GET {url}"),
    }
}
