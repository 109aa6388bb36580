//! Which image a node's script loads. The agent in it decides again, from signed data: a wrong script costs a reboot at worst.

use fleet_protocol::{Report, SlotStateName};
use image_format::manifest::Manifest;
use image_format::pin::{Assignments, Pin};
use image_format::{Group, ImageName, NodeId, Sha256};

/// What signed metadata says, as far as this decision needs it.
pub trait Signed {
    /// Who belongs to which group.
    fn assignments(&self) -> &Assignments;
    /// The pin of a group.
    fn pin(&self, group: &Group) -> Option<&Pin>;
    /// A listed image, with the SHA-256 of its manifest.
    fn image(&self, name: &ImageName) -> Option<(Sha256, &Manifest)>;
}

/// What to do with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<'s> {
    /// Load this image's kernel and initramfs.
    Load {
        /// The image.
        manifest: &'s Manifest,
        /// The node's group.
        group: &'s Group,
        /// Why it is not the pinned image; none when it is.
        instead: Option<String>,
    },
    /// Leave the node to its local disk.
    Leave {
        /// One line for the person at the console.
        reason: String,
    },
}

/// Chooses for `node`, whose last report is `report`; `None` for `signed`: nothing is published.
pub fn choose<'s>(signed: Option<&'s impl Signed>, node: &NodeId, report: Option<&Report>) -> Choice<'s> {
    let leave = |reason: String| Choice::Leave { reason };
    let Some(signed) = signed else { return leave("nothing is published on this server".into()) };
    let Some(group) = signed.assignments().group_of(node) else {
        return leave(format!("node {node} is in no group, and there is no default group"));
    };
    let Some(pin) = signed.pin(group) else {
        return leave(format!("group {group} is not pinned to an image"));
    };
    let pinned = &pin.stable;
    let Some((digest, manifest)) = signed.image(&pinned.name) else {
        return leave(format!("group {group} is pinned to {}, which is not published", pinned.name));
    };
    if digest != pinned.manifest {
        return leave(format!("group {group} is pinned to another content of {}", pinned.name));
    }
    let quarantined =
        report.and_then(|report| report.quarantine.iter().find(|image| image.manifest == digest));
    let Some(quarantined) = quarantined else { return Choice::Load { manifest, group, instead: None } };
    let why = format!("{} failed on this node before: {}", pinned.name, quarantined.reason);
    match report.and_then(|report| last_confirmed(signed, report, digest)) {
        Some(manifest) => Choice::Load { manifest, group, instead: Some(why) },
        None => leave(format!("{why}; no confirmed image of this node is published here")),
    }
}

/// The confirmed image to fall back to: the running one first, then by slot order.
fn last_confirmed<'s>(signed: &'s impl Signed, report: &Report, bad: Sha256) -> Option<&'s Manifest> {
    let confirmed = report.slots.iter().filter(|slot| slot.state == SlotStateName::Confirmed);
    let mut names: Vec<&ImageName> = confirmed.filter_map(|slot| slot.image.as_ref()).collect();
    names.sort_by_key(|name| Some(*name) != report.image.as_ref());
    names
        .into_iter()
        .filter_map(|name| signed.image(name))
        .find(|(digest, _)| *digest != bad)
        .map(|(_, found)| found)
}
