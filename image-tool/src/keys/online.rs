//! The public keys with which a server signs snapshot and timestamp, as `imgserver keys new --json` prints them.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use fleet_protocol::publish::{OnlineKey, OnlineKeyList};
use signing::PublicKey;

use super::role::KeyRole;
use crate::fsutil::read_limited;

/// Longest file with a server's public keys, in bytes.
const ONLINE_KEYS_MAX: u64 = 64 << 10;

/// The public keys of a server: one of each online role at least, and of no other.
pub(crate) fn online_keys(path: &Path) -> anyhow::Result<Vec<(KeyRole, PublicKey)>> {
    let what = || format!("read the server's keys from {}", path.display());
    let bytes = read_limited(path, ONLINE_KEYS_MAX)?;
    let list: OnlineKeyList = serde_json::from_slice(&bytes).with_context(what)?;
    let mut found = Vec::new();
    for OnlineKey { role, keyid, public_pem } in list.keys {
        let role = match role.as_str() {
            "snapshot" => KeyRole::Snapshot,
            "timestamp" => KeyRole::Timestamp,
            other => bail!("{}: expected snapshot or timestamp, found role {other:?}", what()),
        };
        let public = PublicKey::from_pem(&public_pem).with_context(what)?;
        ensure!(public.id().as_str() == keyid, "{}: expected key id {keyid}, found {}", what(), public.id());
        found.push((role, public));
    }
    for role in [KeyRole::Snapshot, KeyRole::Timestamp] {
        ensure!(found.iter().any(|(found, _)| *found == role), "{}: there is no key for {role}", what());
    }
    Ok(found)
}
