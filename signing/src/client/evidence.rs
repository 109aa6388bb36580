//! That something was signed once, without regard to when.

use std::collections::BTreeMap;

use super::TargetInfo;
use crate::error::TrustError;
use crate::limits::{ROOT_MAX_LEN, TARGETS_MAX_LEN};
use crate::metadata::{Envelope, Root, Targets};

/// The target `path` as the top-level `targets`, or a role that it delegates to itself, lists it: signed by the keys that `root`
/// demands. The caller vouches for `root`; roles that are not in `delegated` list nothing.
///
/// Neither timestamp nor snapshot is asked for: this says that a key's owner listed the target, not that the list is the newest. It
/// is what a slot on a disk is checked with, which must boot although everything has expired since. Never decide by it what
/// to *install*: that is for a [`Client`](super::Client).
///
/// # Errors
/// The first file that is malformed or not signed as demanded.
pub fn signed_target(
    root: &[u8],
    targets: &[u8],
    delegated: &BTreeMap<String, Vec<u8>>,
    path: &str,
) -> Result<Option<TargetInfo>, TrustError> {
    let root: Root = Envelope::parse("root", root, ROOT_MAX_LEN)?.read()?;
    let envelope = Envelope::parse("targets", targets, TARGETS_MAX_LEN)?;
    envelope.verify(&root.keys, &root.roles.targets)?;
    let targets: Targets = envelope.read()?;
    let found = |role: &Targets| {
        role.targets.get(path).map(|target| TargetInfo {
            path: path.to_owned(),
            length: target.length,
            hashes: target.hashes.clone(),
            custom: target.custom.clone(),
        })
    };
    if let Some(target) = found(&targets) {
        return Ok(Some(target));
    }
    let Some(delegations) = &targets.delegations else { return Ok(None) };
    for delegation in delegations.roles.iter().filter(|delegation| delegation.covers(path)) {
        if let Some(bytes) = delegated.get(&delegation.name) {
            let envelope = Envelope::parse(&delegation.name, bytes, TARGETS_MAX_LEN)?;
            envelope.verify(&delegations.keys, &delegation.signers)?;
            if let Some(target) = found(&envelope.read()?) {
                return Ok(Some(target));
            }
        }
        if delegation.terminating {
            break;
        }
    }
    Ok(None)
}
