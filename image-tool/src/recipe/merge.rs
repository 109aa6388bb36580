//! Inheritance and defaults.

use image_format::Role;
use image_format::manifest::{DiskSizes, Health};

use super::raw::Raw;
use super::{Debian, Keep, Kernel, Origin, Recipe, RecipeError, Services};

/// Dates are clamped to this when neither recipe nor environment says otherwise: 14 November 2023.
const EPOCH: u64 = 1_700_000_000;
/// Takes the place of the recipe's `epoch`.
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// `over` on top of `base`.
pub(super) fn merge(mut base: Raw, over: Raw) -> Raw {
    base.extends = None;
    base.description = over.description.or(base.description);
    base.class = over.class.or(base.class);
    base.epoch = over.epoch.or(base.epoch);
    base.packages.extend(over.packages);
    base.etc_state.extend(over.etc_state);
    base.debian.suite = over.debian.suite.or(base.debian.suite);
    base.debian.mirror = over.debian.mirror.or(base.debian.mirror);
    base.debian.security = over.debian.security.or(base.debian.security);
    base.debian.security_mirror = over.debian.security_mirror.or(base.debian.security_mirror);
    base.debian.components = over.debian.components.or(base.debian.components);
    base.kernel.package = over.kernel.package.or(base.kernel.package);
    base.kernel.drivers.extend(over.kernel.drivers);
    base.kernel.cmdline = over.kernel.cmdline.or(base.kernel.cmdline);
    base.services.enable.extend(over.services.enable);
    base.services.disable.extend(over.services.disable);
    base.services.mask.extend(over.services.mask);
    base.root.remove.extend(over.root.remove);
    base.root.docs = over.root.docs.or(base.root.docs);
    base.root.man = over.root.man.or(base.root.man);
    base.root.locales = over.root.locales.or(base.root.locales);
    base.disk.slot_mib = over.disk.slot_mib.or(base.disk.slot_mib);
    base.disk.state_mib = over.disk.state_mib.or(base.disk.state_mib);
    base.health.attempts = over.health.attempts.or(base.health.attempts);
    base.health.deadline_s = over.health.deadline_s.or(base.health.deadline_s);
    for check in over.health.checks {
        base.health.checks.retain(|inherited| inherited.get_ref().name != check.get_ref().name);
        base.health.checks.push(check);
    }
    base
}

/// Fills in defaults and asks for what has none.
pub(super) fn finish(role: &Role, raw: Raw, origin: Origin) -> Result<Recipe, RecipeError> {
    let missing = |field| move || RecipeError::Missing { role: role.clone(), field };
    let texts = |words: Vec<super::words::UnitName>| sorted(words.into_iter().map(|word| word.0));
    let suite = raw.debian.suite.map_or_else(|| "bookworm".to_owned(), |suite| suite.0);
    let mirror = raw.debian.mirror.map_or_else(|| "http://deb.debian.org/debian".to_owned(), |url| url.0);
    let security_mirror = raw.debian.security_mirror.map(|url| url.0);
    let components =
        raw.debian.components.map_or_else(Vec::new, |words| words.into_iter().map(|word| word.0).collect());
    Ok(Recipe {
        role: role.clone(),
        class: raw.class.map_or_else(|| "generic".to_owned(), |class| class.0),
        debian: Debian {
            suite,
            mirror,
            security_mirror: raw.debian.security.unwrap_or(true).then(|| {
                security_mirror.unwrap_or_else(|| "http://deb.debian.org/debian-security".to_owned())
            }),
            components: if components.is_empty() { vec!["main".to_owned()] } else { components },
        },
        packages: sorted(raw.packages.into_iter().map(|package| package.0)),
        kernel: Kernel {
            package: raw.kernel.package.ok_or_else(missing("kernel.package"))?.0,
            drivers: sorted(raw.kernel.drivers.into_iter().map(|driver| driver.0)),
            cmdline: raw.kernel.cmdline.ok_or_else(missing("kernel.cmdline"))?.into_inner(),
        },
        services: Services {
            enable: texts(raw.services.enable),
            disable: texts(raw.services.disable),
            mask: texts(raw.services.mask),
        },
        remove: raw.root.remove,
        keep: Keep {
            docs: raw.root.docs.unwrap_or(false),
            man: raw.root.man.unwrap_or(false),
            locales: raw.root.locales.unwrap_or(false),
        },
        etc_state: sorted(raw.etc_state.into_iter().map(toml::Spanned::into_inner)),
        disk: DiskSizes {
            slot_mib: raw.disk.slot_mib.ok_or_else(missing("disk.slot_mib"))?.into_inner(),
            state_mib: raw.disk.state_mib.ok_or_else(missing("disk.state_mib"))?.into_inner(),
        },
        health: Health {
            attempts: raw.health.attempts.map_or(3, toml::Spanned::into_inner),
            deadline_s: raw.health.deadline_s.map_or(180, toml::Spanned::into_inner),
            checks: raw.health.checks.into_iter().map(toml::Spanned::into_inner).collect(),
        },
        epoch: epoch(raw.epoch)?,
        overlays: origin.overlays,
        allow_secrets: origin.allow_secrets.into_values().collect(),
        files: origin.files,
    })
}

fn epoch(recipe: Option<u32>) -> Result<u64, RecipeError> {
    match std::env::var(EPOCH_VARIABLE) {
        // Beyond 32 bits: no date, and some formats could not hold it.
        Ok(text) => text.parse::<u32>().map(u64::from).map_err(|_| RecipeError::Epoch { found: text }),
        Err(_) => Ok(recipe.map_or(EPOCH, u64::from)),
    }
}

fn sorted(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut words: Vec<String> = words.collect();
    words.sort();
    words.dedup();
    words
}
