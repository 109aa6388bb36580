//! `imgtool root prepare`: a change of keys, thresholds or dates, to be signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use image_format::repository::FLOOR_TARGET;
use image_format::{Role, Sha256};
use signing::metadata::Signers;
use signing::repo::{Repository as Model, Section};
use signing::{KeyId, PublicKey, Value};

use crate::ceremony::{self, Ceremony};
use crate::change::Change;
use crate::context::Context;
use crate::keys::{self, KeyNames, KeyRole};

const EXAMPLES: &str = "\
Examples:
  imgtool root prepare --add-key releases=new.pub --remove-key releases=releases -o rotate.json
  imgtool root prepare --remove-key root=root-2 --add-key root=root-4.pub -o revoke.json
  imgtool root prepare --threshold pins=2 --add-key pins=bob.pub -o two-admins.json
  imgtool root prepare --online-keys server.json -o server-signs.json
  imgtool root prepare --floor ha=12 -o floor.json
  imgtool root prepare --renew -o renew.json";

/// Prepare a change of keys, thresholds or dates; nothing is signed yet
///
/// The keys of root sign a change of root, targets, snapshot or timestamp (a new root: the keys before and the new ones). The keys of
/// targets sign a change of releases or pins. A role whose keys change is itself signed anew by the new keys.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Let a role be signed by another key: a public key file of imgtool, OpenSSL or OpenSSH
    #[arg(long, value_name = "ROLE=FILE")]
    add_key: Vec<Named>,

    /// Let a role be signed no more by a key: its id (or how it begins), its name in keys/, or its public key file
    #[arg(long, value_name = "ROLE=KEY")]
    remove_key: Vec<Named>,

    /// How many keys must sign for a role
    #[arg(long, value_name = "ROLE=N")]
    threshold: Vec<Named>,

    /// Let a server sign snapshot and timestamp with these keys and no others: the file that `imgserver keys new --json` prints
    #[arg(long, value_name = "FILE")]
    online_keys: Option<PathBuf>,

    /// Let nodes install no image of an image role below this release counter: what a stolen release key has listed below it is
    /// worth nothing
    #[arg(long, value_name = "ROLE=N", value_parser = floor)]
    floor: Vec<(Role, u64)>,

    /// Sign root and targets anew, so that they last longer
    #[arg(long)]
    renew: bool,

    /// Where to write the proposal; the file must not exist
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// `ROLE=VALUE`
#[derive(Debug, Clone)]
struct Named {
    role: KeyRole,
    value: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, value) = text.split_once('=').ok_or("expected ROLE=VALUE")?;
        let value = value.to_owned();
        if value.is_empty() {
            return Err("expected a value after ROLE=".to_owned());
        }
        Ok(Self {
            role: KeyRole::from_str(role, false).map_err(|_| format!("unknown role {role:?}"))?,
            value,
        })
    }
}

/// Keys and threshold of a role in the making.
struct Rule {
    keys: BTreeMap<KeyId, PublicKey>,
    threshold: u32,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut change = Change::local(context)?;
    let names = change.keys().names()?;
    for role in KeyRole::ALL {
        let before = rule(change.model(), role)?;
        let Some(after) = edited(args, role, &before, &names, context)? else { continue };
        let keys: Vec<PublicKey> = after.keys.into_values().collect();
        change.model_mut().set_signers(role.role(), &keys, after.threshold)?;
    }
    if let Some(path) = &args.online_keys {
        let online = keys::online_keys(path)?;
        for role in [KeyRole::Snapshot, KeyRole::Timestamp] {
            let keys: Vec<PublicKey> =
                online.iter().filter(|(of, _)| *of == role).map(|(_, key)| *key).collect();
            change.model_mut().set_signers(role.role(), &keys, 1)?;
        }
    }
    if !args.floor.is_empty() {
        set_floors(&args.floor, &mut change)?;
    }
    if args.renew {
        change.model_mut().renew(KeyRole::Root.role());
        change.model_mut().renew(KeyRole::Targets.role());
    }
    ceremony::prepared(Ceremony::Root, &change.propose()?, &args.out, context)
}

fn floor(text: &str) -> Result<(Role, u64), String> {
    let (role, counter) = text.split_once('=').ok_or("expected ROLE=N")?;
    let role = role.parse().map_err(|error| format!("{error}"))?;
    Ok((role, counter.parse().map_err(|_| format!("expected a number, found {counter:?}"))?))
}

/// The signed floors with the given ones. A floor that goes down would let old images in again, so it only rises.
fn set_floors(floors: &[(Role, u64)], change: &mut Change) -> anyhow::Result<()> {
    let mut all = change.view.floors.clone();
    for (role, floor) in floors {
        let before = all.insert(role.clone(), *floor).unwrap_or_default();
        ensure!(
            before <= *floor,
            "the floor of role {role} is {before} already, and never goes down to {floor}"
        );
        let pinned = change.view.pins.values().filter_map(|pin| {
            let (_, manifest) = change.view.images.get(&pin.stable.name)?;
            (manifest.name.role == *role && manifest.counter < *floor).then_some((pin, manifest.counter))
        });
        if let Some((pin, counter)) = pinned.into_iter().next() {
            bail!(
                "group {} is pinned to {} with release counter {counter}, below {floor}; pin it to a newer image first",
                pin.group,
                pin.stable.name
            );
        }
    }
    let floors = all.into_iter().map(|(role, floor)| {
        let floor = i64::try_from(floor).with_context(|| format!("floor of {role}: {floor} is too large"))?;
        Ok((role.to_string(), Value::Int(floor)))
    });
    let floors = Value::Object(floors.collect::<anyhow::Result<_>>()?);
    let custom = Value::from([("bascule", Value::from([("floors", floors)]))]);
    // The target has no content of its own: all is in `custom`.
    let empty = Sha256::of(b"");
    let set =
        change.model_mut().set_target(Section::Targets, FLOOR_TARGET, 0, empty.as_bytes(), Some(custom));
    set.context("set the floors")
}

/// The role's rule as it is.
fn rule(model: &Model, role: KeyRole) -> anyhow::Result<Rule> {
    let rules = keys::rules(model, role);
    let Signers { keyids, threshold } = rules.with_context(|| format!("there is no role {role}"))?;
    let table = match role {
        KeyRole::Releases | KeyRole::Pins => {
            let delegations = model.section(Section::Targets).delegations.as_ref();
            &delegations.with_context(|| format!("there is no role {role}"))?.keys
        }
        _ => &model.root().keys,
    };
    let mut keys = BTreeMap::new();
    for id in keyids {
        let public = table.get(id).map(|key| key.public()).transpose()?.flatten();
        keys.insert(id.clone(), public.with_context(|| format!("{role}: key {id} is not an Ed25519 key"))?);
    }
    Ok(Rule { keys, threshold: *threshold })
}

/// The role's rule as the options want it; none if they say nothing of it.
fn edited(
    args: &Args,
    role: KeyRole,
    before: &Rule,
    names: &KeyNames,
    context: &Context,
) -> anyhow::Result<Option<Rule>> {
    let of = |named: &[Named]| -> Vec<String> {
        named.iter().filter(|named| named.role == role).map(|named| named.value.clone()).collect()
    };
    let (add, remove, threshold) = (of(&args.add_key), of(&args.remove_key), of(&args.threshold));
    if add.is_empty() && remove.is_empty() && threshold.is_empty() {
        return Ok(None);
    }
    let mut after = Rule { keys: before.keys.clone(), threshold: before.threshold };
    for key in remove {
        let id = find(&key, role, before, names, context)?;
        after.keys.remove(&id);
    }
    for file in add {
        let public = keys::load_public(Path::new(&file), &context.passphrases)?;
        let id = public.id();
        ensure!(!before.keys.contains_key(&id), "{file}: key {id} signs {role} already");
        after.keys.insert(id, public);
    }
    match threshold.as_slice() {
        [] => {}
        [number] => {
            let what = || format!("--threshold {role}={number}: expected a number");
            after.threshold = number.parse().with_context(what)?;
        }
        _ => bail!("--threshold {role}: expected one number, found several"),
    }
    let keys = after.keys.len();
    let fits =
        after.threshold > 0 && usize::try_from(after.threshold).is_ok_and(|threshold| threshold <= keys);
    ensure!(
        fits,
        "role {role} cannot need {} signatures of {keys} keys; add a key (--add-key) or lower the threshold (--threshold)",
        after.threshold
    );
    Ok(Some(after))
}

/// The key of the role that `text` means.
fn find(
    text: &str,
    role: KeyRole,
    rule: &Rule,
    names: &KeyNames,
    context: &Context,
) -> anyhow::Result<KeyId> {
    /// Fewer digits of an id are too easily mistaken.
    const DIGITS_MIN: usize = 8;
    let by_id = |id: &&KeyId| text.len() >= DIGITS_MIN && id.as_str().starts_with(text);
    let by_name = |id: &&KeyId| names.iter().any(|(known, name)| known == *id && name == text);
    let mut found: Vec<&KeyId> = rule.keys.keys().filter(|id| by_id(id) || by_name(id)).collect();
    let path = Path::new(text);
    let public = (found.is_empty() && path.is_file()).then(|| keys::load_public(path, &context.passphrases));
    let public = public.transpose()?.map(|public| public.id());
    found.extend(rule.keys.keys().filter(|id| Some(*id) == public.as_ref()));
    match found.as_slice() {
        [id] => Ok((*id).clone()),
        found => {
            let known: Vec<&str> = rule.keys.keys().map(KeyId::as_str).collect();
            let what = if found.is_empty() { "no key" } else { "several keys" };
            bail!("--remove-key {role}={text}: {what} of {role}; its keys are {}", known.join(", "))
        }
    }
}
