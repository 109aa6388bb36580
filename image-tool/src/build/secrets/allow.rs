//! What the recipe allows, and the error about everything else.

use std::fmt::Write as _;

use anyhow::bail;
use image_format::manifest::provenance::AllowedSecret;

use super::Finding;
use crate::recipe::AllowSecret;
use crate::ui::size;

/// Most files named in the error. More have one cause.
const NAMED_MAX: usize = 200;

/// Fails unless every finding is allowed and every entry of the list allows one.
pub(super) fn apply(found: &[Finding], allow: &[AllowSecret]) -> anyhow::Result<Vec<AllowedSecret>> {
    let entry = |finding: &Finding| allow.iter().find(|entry| entry.path[1..] == finding.path);
    let refused: Vec<&Finding> = found.iter().filter(|finding| entry(finding).is_none()).collect();
    if !refused.is_empty() {
        bail!(refusal(&refused));
    }
    for entry in allow {
        if !found.iter().any(|finding| entry.path[1..] == finding.path) {
            bail!(
                "{}: allow-secret {}: the root tree has no such file, or it is no secret; remove the entry",
                entry.place,
                entry.path
            );
        }
    }
    let allowed = found.iter().filter_map(|finding| {
        let reason = entry(finding)?.reason.clone();
        Some(AllowedSecret { path: format!("/{}", finding.path), what: finding.what.to_owned(), reason })
    });
    Ok(allowed.collect())
}

/// Names all of them, and what the recipe would have to say.
fn refusal(refused: &[&Finding]) -> String {
    let secrets = size::plural(refused.len(), "secret");
    let mut text = format!("the root tree has {secrets}, and an image is public to every node:\n");
    let named = &refused[..refused.len().min(NAMED_MAX)];
    // Writing to a string cannot fail.
    for Finding { path, what, why } in named {
        let _ = writeln!(text, "  /{path}: {what} ({why})");
    }
    if refused.len() > named.len() {
        let _ = writeln!(text, "  and {} more", refused.len() - named.len());
    }
    text += "Leave them out (root.remove), or, where one is meant to be public, say so in the recipe and give the reason:";
    for finding in named {
        let _ =
            write!(text, "\n\n[[allow-secret]]\npath = {:?}\nreason = \"\"", format!("/{}", finding.path));
    }
    text
}
