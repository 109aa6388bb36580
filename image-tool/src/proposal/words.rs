//! A proposal in words, for the person who is about to sign it.

use std::fmt::Write as _;

use image_format::Group;
use image_format::pin::DiskConsent;
use signing::key::KeyId;
use signing::repo::{Need, Progress, Section};

use super::Examined;
use super::changes::{ContentChange, RoleChange, SignersChange, Turn};
use crate::ui::style::{bad, dim, good, strong, warn};

impl Examined {
    /// Everything that would be signed, then what is lacking.
    pub(crate) fn words(&self, names: &[(KeyId, String)]) -> String {
        let base = self.base();
        let mut text = format!(
            "Proposal made {} on root {}, targets {}, releases {}, pins {}\n",
            self.file().made(),
            base.root().version,
            base.section(Section::Targets).version,
            base.section(Section::Releases).version,
            base.section(Section::Pins).version,
        );
        for change in self.changes() {
            text.push('\n');
            text.push_str(&role(change, names));
        }
        text.push('\n');
        text.push_str(&progress(&self.progress(), names));
        text
    }
}

/// `root: 1 of 2 signatures (root-1); still needed: one of root-2, root-3`.
pub(crate) fn progress(progress: &[Progress], names: &[(KeyId, String)]) -> String {
    let mut text = String::new();
    for Progress { role, needs } in progress {
        for need in needs {
            let by = if need.by == role.as_str() {
                String::new()
            } else {
                format!(", by the keys of {}", need.by)
            };
            let state = lacking(need, names);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}{by}: {state}", strong(role.as_str()));
        }
    }
    text
}

fn lacking(need: &Need, names: &[(KeyId, String)]) -> String {
    let list = |keys: &[KeyId]| {
        let mut keys: Vec<String> = keys.iter().map(|key| name(key, names)).collect();
        keys.sort();
        keys.join(", ")
    };
    let signed = if need.signed.is_empty() { String::new() } else { format!(" ({})", list(&need.signed)) };
    let count = format!("{} of {} signatures{signed}", need.signed.len(), need.threshold);
    if need.is_met() {
        return good(count);
    }
    let left = usize::try_from(need.threshold).unwrap_or(usize::MAX).saturating_sub(need.signed.len());
    let left = if left == 1 { "one".to_owned() } else { left.to_string() };
    format!("{}; still needed: {left} of {}", warn(count), list(&need.open))
}

fn role(change: &RoleChange, names: &[(KeyId, String)]) -> String {
    let RoleChange { role, version, expires, signers, content } = change;
    let number =
        |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let expires = expires.to.map(|expires| expires.to_string()).unwrap_or_default();
    let mut text = format!(
        "{} version {} → {}, valid until {expires}\n",
        strong(format!("{role} metadata")),
        number(version.from),
        number(version.to)
    );
    for change in signers {
        text.push_str(&rules(change, names));
    }
    for change in content {
        text.push_str("  ");
        text.push_str(&line(change));
        text.push('\n');
    }
    if content.is_empty() && signers.iter().all(SignersChange::is_same) {
        text.push_str(&dim("  nothing else changes: signed anew"));
        text.push('\n');
    }
    text
}

fn rules(change: &SignersChange, names: &[(KeyId, String)]) -> String {
    let SignersChange { role, threshold, kept, added, removed } = change;
    let total = kept.len() + added.len();
    let now = format!("{} of {total} keys sign {role}", threshold.to.unwrap_or_default());
    if change.is_same() {
        return format!("  {now} {}\n", dim("(as before)"));
    }
    let before = kept.len() + removed.len();
    let mut text = format!("  {} (before: {} of {before})\n", warn(now), threshold.from.unwrap_or_default());
    let full = |key: &KeyId| match names.iter().find(|(known, _)| known == key) {
        Some((_, name)) => format!("{key} {name}"),
        None => key.to_string(),
    };
    for key in added {
        let _ = writeln!(text, "    {} {}", good("+ new key    "), full(key));
    }
    for key in removed {
        let _ = writeln!(text, "    {} {}", bad("- no longer  "), full(key));
    }
    for key in kept {
        let _ = writeln!(text, "    {} {}", dim("  as before  "), full(key));
    }
    text
}

fn line(change: &ContentChange) -> String {
    match change {
        ContentChange::Image { name, manifest: Turn { to: Some(manifest), .. }, counter } => format!(
            "{} image {}, manifest {manifest}, release counter {}",
            good("+"),
            strong(name),
            counter.unwrap_or_default()
        ),
        ContentChange::Image { name, .. } => format!("{} image {} is listed no more", bad("-"), strong(name)),
        ContentChange::Patches { name, document: Turn { to: Some(document), .. }, from, stream } => {
            let mut ways: Vec<String> = from.iter().map(|from| format!("from {from}")).collect();
            ways.extend(stream.then(|| "whole".to_owned()));
            format!("{} patches to {}: {}, list {document}", good("+"), strong(name), ways.join(", "))
        }
        ContentChange::Patches { name, .. } => {
            format!("{} patches to {} are listed no more", bad("-"), strong(name))
        }
        ContentChange::Pin { group, image, manifest, disk } => {
            let from = image.from.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let Some(to) = &image.to else {
                return format!("group {} runs {from} → follows nothing any more", strong(group));
            };
            let manifest = manifest.map(|manifest| format!(", manifest {manifest}")).unwrap_or_default();
            let disk = disk.to.as_ref().map(consent).unwrap_or_default();
            let turn = if image.is_same() {
                format!("{to} as before")
            } else {
                format!("{from} → {}", strong(to))
            };
            format!("group {} runs {turn}{manifest}{disk}", strong(group))
        }
        ContentChange::Assignment { node, group } => {
            let who = node.as_ref().map_or_else(|| "every other node".to_owned(), ToString::to_string);
            let place = |group: &Option<Group>| {
                group.as_ref().map_or_else(|| "no group".to_owned(), |group| format!("group {group}"))
            };
            format!("{}: {} → {}", strong(who), place(&group.from), place(&group.to))
        }
        ContentChange::Floor { role, counter } => format!(
            "nodes install no {role} image below release counter {} (before: {})",
            counter.to.unwrap_or_default(),
            counter.from.unwrap_or_default()
        ),
    }
}

fn consent(disk: &DiskConsent) -> String {
    if disk.wipe {
        format!(", {}", bad(format!("may wipe disk {}", disk.disk)))
    } else {
        format!(", on disk {}", disk.disk)
    }
}

/// A key's name, or the beginning of its id.
fn name(key: &KeyId, names: &[(KeyId, String)]) -> String {
    let short = key.as_str().get(..12).unwrap_or_default();
    match names.iter().find(|(known, _)| known == key) {
        Some((_, name)) => format!("{name} ({short})"),
        None => short.to_owned(),
    }
}
