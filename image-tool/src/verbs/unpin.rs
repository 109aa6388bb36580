//! `imgtool unpin`: a group follows nothing any more.

use anyhow::bail;
use image_format::repository::TargetKind;
use image_format::{Group, ImageName};
use serde::Serialize;

use crate::change::{Change, Push};
use crate::context::Context;
use crate::ui::style::{dim, strong};

const EXAMPLES: &str = "\
Examples:
  imgtool unpin cluster";

/// Take a group's pin away; its nodes keep what they run
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The group
    group: Group,

    #[command(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Report {
    group: Group,
    previous: ImageName,
    published: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let change = Change::local(context)?;
    let group = &args.group;
    let Some(pin) = change.view.pins.get(group).cloned() else {
        bail!("group {group} has no pin{}", change.group_hint(group));
    };
    let mut change = change.towards(&args.push)?;
    change.remove(&TargetKind::Pin(group.clone()));
    let done = change.finish()?;
    let report =
        Report { group: group.clone(), previous: pin.stable.name, published: done.destination.clone() };
    context.ui.show(&report, |report| {
        let before = dim(format!("(was {})", report.previous));
        format!("{} has no pin any more {before}; {}\n", strong(&report.group), done.text())
    })
}
