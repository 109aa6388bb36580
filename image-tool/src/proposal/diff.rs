//! Comparing proposed metadata with what it replaces. What cannot be told in words is refused: nobody signs what was not shown.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use image_format::Role;
use image_format::repository::FLOOR_TARGET;
use signing::Value;
use signing::key::{Key, KeyId};
use signing::metadata::{Root, Signers, Target, Targets};

use super::changes::{ContentChange, RoleChange, SignersChange, Turn};
use super::short;
use crate::keys::KeyRole;

/// What a new root says.
pub(super) fn root(old: &Root, new: &Root) -> anyhow::Result<RoleChange> {
    let mut told = old.clone();
    (told.version, told.expires, told.keys) = (new.version, new.expires, new.keys.clone());
    told.roles.root = new.roles.root.clone();
    told.roles.targets = new.roles.targets.clone();
    told.roles.snapshot = new.roles.snapshot.clone();
    told.roles.timestamp = new.roles.timestamp.clone();
    ensure!(told == *new, "the proposed root changes something that is neither keys, thresholds nor dates");
    let (from, to) = (&old.roles, &new.roles);
    let roles = [
        (KeyRole::Root, &from.root, &to.root),
        (KeyRole::Targets, &from.targets, &to.targets),
        (KeyRole::Snapshot, &from.snapshot, &to.snapshot),
        (KeyRole::Timestamp, &from.timestamp, &to.timestamp),
    ];
    check_keys(&new.keys, roles.iter().map(|(_, _, signers)| *signers))?;
    Ok(RoleChange {
        role: KeyRole::Root,
        version: Turn::new(Some(old.version), Some(new.version)),
        expires: Turn::new(Some(old.expires), Some(new.expires)),
        signers: roles
            .map(|(role, old, new)| signers(role, old, new))
            .into_iter()
            .collect::<anyhow::Result<_>>()?,
        content: Vec::new(),
    })
}

/// What new top-level targets say.
pub(super) fn targets(old: &Targets, new: &Targets) -> anyhow::Result<RoleChange> {
    let mut told = old.clone();
    (told.version, told.expires) = (new.version, new.expires);
    let (Some(before), Some(after)) = (&mut told.delegations, &new.delegations) else {
        bail!("expected delegations in the present and in the proposed targets");
    };
    let mut rules = Vec::new();
    for (delegation, next) in before.roles.iter_mut().zip(&after.roles) {
        let known = [KeyRole::Releases, KeyRole::Pins].into_iter();
        let role = known.into_iter().find(|role| role.role().as_str() == next.name);
        let role =
            role.with_context(|| format!("the proposed targets delegate to {:?}", short(&next.name)))?;
        rules.push(signers(role, &delegation.signers, &next.signers)?);
        delegation.signers = next.signers.clone();
    }
    before.keys = after.keys.clone();
    check_keys(&after.keys, after.roles.iter().map(|delegation| &delegation.signers))?;
    let (from, to) = (old.targets.get(FLOOR_TARGET), new.targets.get(FLOOR_TARGET));
    match to {
        Some(floor) => drop(told.targets.insert(FLOOR_TARGET.to_owned(), floor.clone())),
        None => drop(told.targets.remove(FLOOR_TARGET)),
    }
    ensure!(
        told == *new,
        "the proposed targets change something that is neither keys, thresholds, dates nor floors"
    );
    Ok(change(KeyRole::Targets, old, new, rules, floors(from, to)?))
}

/// A role's metadata with the given news.
pub(super) fn change(
    role: KeyRole,
    old: &Targets,
    new: &Targets,
    signers: Vec<SignersChange>,
    content: Vec<ContentChange>,
) -> RoleChange {
    RoleChange {
        role,
        version: Turn::new(Some(old.version), Some(new.version)),
        expires: Turn::new(Some(old.expires), Some(new.expires)),
        signers,
        content,
    }
}

fn signers(role: KeyRole, old: &Signers, new: &Signers) -> anyhow::Result<SignersChange> {
    // Their order says nothing, so it must not be able to say anything.
    ensure!(old == new || new.keyids.is_sorted(), "the proposal lists the keys of {role} out of order");
    let only = |these: &Signers, those: &Signers| -> Vec<KeyId> {
        these.keyids.iter().filter(|keyid| !those.keyids.contains(keyid)).cloned().collect()
    };
    Ok(SignersChange {
        role,
        threshold: Turn::new(Some(old.threshold), Some(new.threshold)),
        kept: new.keyids.iter().filter(|keyid| old.keyids.contains(keyid)).cloned().collect(),
        added: only(new, old),
        removed: only(old, new),
    })
}

/// Every key has a role, every role has enough keys, and every key can be used.
fn check_keys<'s>(
    keys: &BTreeMap<KeyId, Key>,
    users: impl Iterator<Item = &'s Signers>,
) -> anyhow::Result<()> {
    let mut used = BTreeSet::new();
    for signers in users {
        let distinct: BTreeSet<&KeyId> = signers.keyids.iter().collect();
        let enough = usize::try_from(signers.threshold).is_ok_and(|threshold| threshold <= distinct.len());
        ensure!(enough, "the proposal asks for {} signatures of {} keys", signers.threshold, distinct.len());
        used.extend(distinct);
    }
    for (keyid, key) in keys {
        ensure!(used.contains(keyid), "the proposal lists key {keyid}, which has no role");
        let public = key.public().with_context(|| format!("read key {keyid}"))?;
        let public = public.with_context(|| format!("key {keyid} is not an Ed25519 key"))?;
        ensure!(public.to_key() == *key, "key {keyid} says more than its type and its public half");
    }
    let missing = used.into_iter().find(|keyid| !keys.contains_key(*keyid));
    missing.map_or(Ok(()), |keyid| bail!("the proposal does not hold key {keyid}"))
}

fn floors(old: Option<&Target>, new: Option<&Target>) -> anyhow::Result<Vec<ContentChange>> {
    let read = |target: Option<&Target>| -> anyhow::Result<BTreeMap<Role, u64>> {
        let Some(target) = target else { return Ok(BTreeMap::new()) };
        let floors =
            target.custom.as_ref().and_then(|custom| custom.get("bascule")?.get("floors")?.as_object());
        let floors = floors.context("expected floors, found something else")?;
        let floor = |(role, floor): (&String, &Value)| Some((role.parse().ok()?, floor.as_u64()?));
        floors.iter().map(|entry| floor(entry).context("expected role → counter in the floors")).collect()
    };
    let (before, after) = (read(old)?, read(new)?);
    if let Some(target) = new {
        // What no program reads could say anything.
        let said: BTreeMap<String, Value> = after
            .iter()
            .map(|(role, floor)| (role.to_string(), Value::Int(i64::try_from(*floor).unwrap_or(i64::MAX))))
            .collect();
        let custom = Value::from([("bascule", Value::from([("floors", Value::Object(said))]))]);
        ensure!(target.custom.as_ref() == Some(&custom), "the proposed floors say more than counters");
    }
    let roles: BTreeSet<&Role> = before.keys().chain(after.keys()).collect();
    let change = |role: &Role| ContentChange::Floor {
        role: role.clone(),
        counter: Turn::new(before.get(role).copied(), after.get(role).copied()),
    };
    let changed = roles.into_iter().filter(|role| before.get(*role) != after.get(*role));
    Ok(changed.map(change).collect())
}
