//! Whose keys the metadata trusts for what.

use std::path::Path;

use anyhow::anyhow;
use signing::metadata::Signers;
use signing::repo::{Repository as Model, Section};
use signing::{KeyId, PublicKey};

use super::role::KeyRole;

/// Checks that `found` (from `path`) is a key that the metadata trusts for `role`.
pub(crate) fn check_role(model: &Model, role: KeyRole, found: &PublicKey, path: &Path) -> anyhow::Result<()> {
    let expected = signers(model, role);
    if expected.contains(&found.id()) { Ok(()) } else { Err(wrong_key(model, role, expected, found, path)) }
}

/// The error for a key that the metadata does not trust for `role`.
pub(super) fn wrong_key(
    model: &Model,
    role: KeyRole,
    expected: &[KeyId],
    found: &PublicKey,
    path: &Path,
) -> anyhow::Error {
    let found = found.id();
    let belongs = KeyRole::ALL.iter().find(|other| signers(model, **other).contains(&found));
    let hint = belongs.map(|other| format!("; it is the key of role {other}")).unwrap_or_default();
    anyhow!(
        "{}: wrong key for role {role}: expected key id {}, found {found}{hint}",
        path.display(),
        list(expected)
    )
}

/// Ids of the keys that may sign for `role`.
pub(crate) fn signers(model: &Model, role: KeyRole) -> &[KeyId] {
    rules(model, role).map_or(&[], |signers| &signers.keyids)
}

/// Who may sign for `role`, and how many must; `None` for a delegation that is missing.
pub(crate) fn rules(model: &Model, role: KeyRole) -> Option<&Signers> {
    let roles = &model.root().roles;
    match role {
        KeyRole::Root => Some(&roles.root),
        KeyRole::Targets => Some(&roles.targets),
        KeyRole::Snapshot => Some(&roles.snapshot),
        KeyRole::Timestamp => Some(&roles.timestamp),
        KeyRole::Releases | KeyRole::Pins => {
            let delegations = model.section(Section::Targets).delegations.iter();
            let mut named = delegations.flat_map(|delegations| &delegations.roles);
            let named = named.find(|delegation| delegation.name == role.role().as_str());
            named.map(|delegation| &delegation.signers)
        }
    }
}

/// The verb whose ceremony signs `role`.
pub(crate) fn ceremony(role: KeyRole) -> &'static str {
    match role {
        KeyRole::Releases => "releases",
        KeyRole::Pins => "pins",
        _ => "root",
    }
}

/// `id or id`.
pub(super) fn list(ids: &[KeyId]) -> String {
    ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(" or ")
}
