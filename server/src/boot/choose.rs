//! Which image a node's script loads. The agent in it decides again, from signed data: a wrong script costs a reboot at worst.

use fleet_protocol::{Report, SlotStateName};
use image_format::repository::View;
use image_format::{Group, ImageName, Manifest, NodeId, Sha256};

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

/// Chooses for `node`, whose last report is `report` and whose enrolment was for the group `enrolled`, from what is published, or
/// with the reason why nothing is.
pub fn choose<'v>(
    view: Result<&'v View, &str>,
    node: &NodeId,
    enrolled: Option<&'v Group>,
    report: Option<&Report>,
) -> Choice<'v> {
    let leave = |reason: String| Choice::Leave { reason };
    let view = match view {
        Ok(view) => view,
        Err(reason) => return leave(reason.to_owned()),
    };
    let Some(group) = view.assignments.group_with(node, enrolled) else {
        return leave(format!("node {node} is in no group, and there is no default group"));
    };
    let Some(pin) = view.pins.get(group) else {
        return leave(format!("group {group} is not pinned to an image"));
    };
    let pinned = &pin.stable;
    let Some((digest, manifest)) = view.images.get(&pinned.name) else {
        return leave(format!("group {group} is pinned to {}, which is not published", pinned.name));
    };
    let quarantined =
        report.and_then(|report| report.quarantine.iter().find(|image| image.manifest == *digest));
    let Some(quarantined) = quarantined else { return Choice::Load { manifest, group, instead: None } };
    let why = format!("{} failed on this node before: {}", pinned.name, quarantined.reason);
    match report.and_then(|report| last_confirmed(view, report, *digest)) {
        Some(manifest) => Choice::Load { manifest, group, instead: Some(why) },
        None => leave(format!("{why}; no confirmed image of this node is published here")),
    }
}

/// The confirmed image to fall back to: the running one first, then by slot order.
fn last_confirmed<'v>(view: &'v View, report: &Report, bad: Sha256) -> Option<&'v Manifest> {
    let confirmed = report.slots.iter().filter(|slot| slot.state == SlotStateName::Confirmed);
    let mut names: Vec<&ImageName> = confirmed.filter_map(|slot| slot.image.as_ref()).collect();
    names.sort_by_key(|name| Some(*name) != report.image.as_ref());
    let mut images = names.into_iter().filter_map(|name| view.images.get(name));
    images.find(|(digest, _)| *digest != bad).map(|(_, manifest)| manifest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fleet_protocol::report::Quarantined;
    use fleet_protocol::{Event, SlotReport};
    use image_format::Slot;
    use image_format::pin::{Assignments, PIN_FORMAT, Pin, PinnedImage};
    use image_format::test_images::manifest;

    use super::*;
    use crate::fleet::record::tests::report;

    fn digest(name: &str) -> Sha256 {
        Sha256::of(name.as_bytes())
    }

    /// A root that nobody looks at.
    fn root() -> signing::metadata::Root {
        let keys = signing::repo::RoleKeys::default();
        signing::repo::Repository::create(&keys, signing::repo::Lifetimes::default()).root().clone()
    }

    /// Images ha@1 to ha@3; `rack` is pinned to ha@3; n1 is in it, and n4 in a group without a pin.
    fn published() -> View {
        let images =
            ["ha@1", "ha@2", "ha@3"].map(|name| (name.parse().unwrap(), (digest(name), manifest(name, 1))));
        let group: Group = "rack".parse().unwrap();
        let stable = PinnedImage { name: "ha@3".parse().unwrap(), manifest: digest("ha@3") };
        let pin = Pin { format: PIN_FORMAT, group: group.clone(), stable, disk: None };
        let nodes = [("n1", "rack"), ("n4", "unpinned")];
        let nodes = nodes.map(|(node, group)| (node.parse().unwrap(), group.parse().unwrap()));
        View {
            images: images.into(),
            patches: BTreeMap::new(),
            pins: [(group, pin)].into(),
            assignments: Assignments { nodes: nodes.into(), ..Assignments::empty() },
            floors: BTreeMap::new(),
            expiries: BTreeMap::new(),
            versions: BTreeMap::new(),
            digests: BTreeMap::new(),
            root: root(),
            root_version: 1,
        }
    }

    fn chosen(published: &View, node: &str, report: Option<&Report>) -> (Option<String>, Option<String>) {
        match choose(Ok(published), &node.parse().unwrap(), None, report) {
            Choice::Load { manifest, instead, .. } => (Some(manifest.name.to_string()), instead),
            Choice::Leave { reason } => (None, Some(reason)),
        }
    }

    fn failed(slots: &[(&str, SlotStateName)]) -> Report {
        let slots = slots.iter().zip(Slot::ALL).map(|((image, state), slot)| SlotReport {
            slot,
            state: *state,
            image: Some(image.parse().unwrap()),
        });
        let reason = "check web: connection refused".to_owned();
        let quarantine =
            vec![Quarantined { image: "ha@3".parse().unwrap(), manifest: digest("ha@3"), reason }];
        Report { slots: slots.collect(), quarantine, ..report("n1", Event::RolledBack, "") }
    }

    #[test]
    fn the_pinned_image_is_loaded() {
        let published = published();
        assert_eq!(chosen(&published, "n1", None), (Some("ha@3".into()), None));
        let unrelated = Report { quarantine: vec![], ..failed(&[]) };
        assert_eq!(chosen(&published, "n1", Some(&unrelated)), (Some("ha@3".into()), None));
    }

    #[test]
    fn a_quarantined_image_gives_way_to_the_confirmed_one() {
        let published = published();
        let why = Some("ha@3 failed on this node before: check web: connection refused".to_owned());
        let one = failed(&[("ha@2", SlotStateName::Confirmed), ("ha@3", SlotStateName::Bad)]);
        assert_eq!(chosen(&published, "n1", Some(&one)), (Some("ha@2".into()), why.clone()));
        let two = failed(&[("ha@1", SlotStateName::Confirmed), ("ha@2", SlotStateName::Confirmed)]);
        assert_eq!(chosen(&published, "n1", Some(&two)), (Some("ha@1".into()), why.clone()));
        let running = Report { image: Some("ha@2".parse().unwrap()), ..two };
        assert_eq!(chosen(&published, "n1", Some(&running)), (Some("ha@2".into()), why.clone()));
        let again = failed(&[("ha@3", SlotStateName::Confirmed), ("ha@9", SlotStateName::Confirmed)]);
        let none = why.map(|why| why + "; no confirmed image of this node is published here");
        assert_eq!(chosen(&published, "n1", Some(&again)), (None, none.clone()));
        let trial = failed(&[("ha@2", SlotStateName::Trial)]);
        assert_eq!(chosen(&published, "n1", Some(&trial)), (None, none));
    }

    #[test]
    fn every_other_node_is_left_with_a_reason() {
        let published = published();
        for (node, reason) in [
            ("n4", "group unpinned is not pinned to an image"),
            ("n5", "node n5 is in no group, and there is no default group"),
        ] {
            assert_eq!(chosen(&published, node, None), (None, Some(reason.into())));
        }
        let nothing = choose(Err("nothing"), &"n1".parse().unwrap(), None, None);
        assert_eq!(nothing, Choice::Leave { reason: "nothing".into() });
    }
}
