//! `imgtool pin`: which image a group runs.

use anyhow::bail;
use image_format::pin::{DiskConsent, PIN_FORMAT, Pin, PinnedImage};
use image_format::repository::TargetKind;
use image_format::{Group, ImageName, Sha256};
use serde::Serialize;

use crate::change::{Change, Done, Push};
use crate::context::Context;
use crate::stage::Signed;
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool pin cluster ha@2
  imgtool pin cluster ha@1                        going back is allowed
  imgtool pin cluster ha@2 --disk vda --wipe      overwrite foreign partitions on vda
  imgtool pin cluster ha@2 --no-publish           sign here only";

/// Sign which image a group of nodes runs, and publish that at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The group; it exists by being pinned
    group: Group,

    /// The image, which must be signed and published
    #[arg(value_name = "ROLE@VERSION")]
    image: ImageName,

    /// The disk to install on, by kernel name or serial number
    #[arg(long, value_name = "NAME", value_parser = disk_name)]
    disk: Option<String>,

    /// Consent that foreign partitions on that disk are destroyed
    #[arg(long, requires = "disk")]
    wipe: bool,

    #[command(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Report {
    group: Group,
    image: ImageName,
    manifest: Sha256,
    /// What the group was pinned to before.
    previous: Option<ImageName>,
    /// False if the pin said so already.
    changed: bool,
    disk: Option<DiskConsent>,
    /// Where the pin is current besides the local store.
    published: Option<String>,
}

/// A kernel name or serial number, without `/dev/`.
pub(crate) fn disk_name(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("/dev/").unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+:-".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected a kernel name such as vda or a serial number, found {text:?}"))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let change = Change::local(context)?;
    let image = Signed::find(&change.view, &change.repo, &args.image)?;
    refuse_below_floor(&change, &image)?;
    let mut change = change.towards(&args.push)?;
    let disk = args.disk.clone().map(|disk| DiskConsent { disk, wipe: args.wipe });
    let stable = PinnedImage { name: args.image.clone(), manifest: image.digest() };
    let pin = Pin { format: PIN_FORMAT, group: args.group.clone(), stable, disk };
    let previous = change.view.pins.get(&args.group).cloned();
    let changed = previous.as_ref() != Some(&pin);
    if changed {
        change.set(TargetKind::Pin(args.group.clone()), pin.to_bytes()?)?;
    }
    let nodes_follow = change.view.assignments.default.as_ref() == Some(&args.group)
        || change.view.assignments.nodes.values().any(|group| *group == args.group);
    let done = change.finish()?;
    let report = Report {
        group: args.group.clone(),
        image: args.image.clone(),
        manifest: image.digest(),
        previous: previous.map(|pin| pin.stable.name),
        changed,
        disk: pin.disk,
        published: done.destination.clone(),
    };
    context.ui.show(&report, |report| text(report, &done))?;
    if !nodes_follow {
        let group = &args.group;
        context.ui.note(&format!(
            "No node is in group {group} yet: imgtool assign NODE {group}, or imgtool assign --default {group}"
        ));
    }
    Ok(())
}

/// Refuses an image that nodes would refuse for its release counter.
pub(crate) fn refuse_below_floor(change: &Change, image: &Signed) -> anyhow::Result<()> {
    let (role, counter) = (&image.name().role, image.manifest().counter);
    match change.view.floors.get(role) {
        Some(floor) if counter < *floor => bail!(
            "nothing was signed: {} has release counter {counter}, the signed floor of role {role} is {floor}; nodes would refuse it",
            image.name()
        ),
        _ => Ok(()),
    }
}

fn text(report: &Report, done: &Done) -> String {
    let Report { group, image, previous, changed, .. } = report;
    let before = match previous {
        _ if !changed => " already".to_owned(),
        Some(before) if before == image => String::new(),
        Some(before) => format!(" {}", dim(format!("(was {before})"))),
        None => String::new(),
    };
    let disk = match &report.disk {
        Some(DiskConsent { disk, wipe: true }) => format!(", may wipe {disk}"),
        Some(DiskConsent { disk, wipe: false }) => format!(", on disk {disk}"),
        None => String::new(),
    };
    format!("{} is pinned to {}{before}{disk}; {}\n", strong(group), strong(image), done.text())
}
