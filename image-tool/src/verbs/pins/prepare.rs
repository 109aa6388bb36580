//! `imgtool pins prepare`: a pin or an assignment as a proposal.

use std::path::PathBuf;

use anyhow::bail;
use image_format::pin::{DiskConsent, PIN_FORMAT, Pin, PinnedImage};
use image_format::repository::TargetKind;
use image_format::{Group, ImageName, NodeId};

use crate::ceremony::{self, Ceremony};
use crate::change::Change;
use crate::context::Context;
use crate::keys::KeyRole;
use crate::node::node_id;
use crate::stage::Signed;
use crate::verbs::pin;

const EXAMPLES: &str = "\
Examples:
  imgtool pins prepare -o pin.json set cluster ha@2
  imgtool pins prepare -o pin.json set cluster ha@2 --disk vda --wipe
  imgtool pins prepare -o pin.json unset cluster
  imgtool pins prepare -o pin.json assign 52-54-00-12-34-56 cluster
  imgtool pins prepare -o pin.json assign --default cluster
  imgtool pins prepare -o pin.json renew";

/// Prepare a pin or an assignment to be signed; nothing is signed yet
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to write the proposal; the file must not exist
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    #[command(subcommand)]
    change: Edit,
}

#[derive(Debug, clap::Subcommand)]
enum Edit {
    /// Which image a group runs
    Set {
        /// The group
        group: Group,
        /// The image, which must be signed
        #[arg(value_name = "ROLE@VERSION")]
        image: ImageName,
        /// The disk to install on, by kernel name or serial number
        #[arg(long, value_name = "NAME", value_parser = pin::disk_name)]
        disk: Option<String>,
        /// Consent that foreign partitions on that disk are destroyed
        #[arg(long, requires = "disk")]
        wipe: bool,
    },
    /// A group follows nothing any more
    Unset {
        /// The group
        group: Group,
    },
    /// Which group a node belongs to
    Assign {
        /// The node: the MAC address that it boots from
        #[arg(required_unless_present = "default", conflicts_with = "default", value_parser = node_id)]
        node: Option<NodeId>,
        /// Its group
        #[arg(required_unless_present = "default")]
        group: Option<Group>,
        /// Put all nodes that are not assigned by name into GROUP
        #[arg(long, value_name = "GROUP")]
        default: Option<Group>,
    },
    /// A node is assigned by name no more
    Unassign {
        /// The node
        #[arg(value_parser = node_id)]
        node: NodeId,
    },
    /// Sign the pins anew, so that they last longer
    Renew,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::local(context)?;
    edit(&args.change, &mut change)?;
    ceremony::prepared(Ceremony::Pins, &change.propose()?, &args.out, context)
}

fn edit(edit: &Edit, change: &mut Change) -> anyhow::Result<()> {
    match edit {
        Edit::Set { group, image, disk, wipe } => {
            let image = Signed::find(&change.view, &change.repo, image)?;
            pin::refuse_below_floor(change, &image)?;
            let stable = PinnedImage { name: image.name().clone(), manifest: image.digest() };
            let disk = disk.clone().map(|disk| DiskConsent { disk, wipe: *wipe });
            let pin = Pin { format: PIN_FORMAT, group: group.clone(), stable, disk };
            change.set(TargetKind::Pin(group.clone()), pin.to_bytes()?)
        }
        Edit::Unset { group } => {
            if !change.view.pins.contains_key(group) {
                bail!("group {group} has no pin{}", change.group_hint(group));
            }
            change.remove(&TargetKind::Pin(group.clone()));
            Ok(())
        }
        Edit::Assign { node, group, default } => {
            let mut assignments = change.view.assignments.clone();
            match (node, group, default) {
                (Some(node), Some(group), _) => drop(assignments.nodes.insert(node.clone(), group.clone())),
                (_, _, Some(group)) => assignments.default = Some(group.clone()),
                _ => bail!("expected a node and a group, or --default GROUP"),
            }
            change.set(TargetKind::Assignments, assignments.to_bytes()?)
        }
        Edit::Unassign { node } => {
            let mut assignments = change.view.assignments.clone();
            if assignments.nodes.remove(node).is_none() {
                bail!("{node} is not assigned by name");
            }
            change.set(TargetKind::Assignments, assignments.to_bytes()?)
        }
        Edit::Renew => {
            change.model_mut().renew(KeyRole::Pins.role());
            Ok(())
        }
    }
}
