//! Rules that the manifest has for values of a recipe, applied before anything is built.
//!
//! The rules exist once, in [`Manifest::validate`]: each value is put into an otherwise valid manifest, and a refusal is
//! reported at the value's place in the file.

use std::ops::Range;
use std::path::Path;

use image_format::document::DocumentError;
use image_format::manifest::{
    DiskSizes, Health, Kernel, MANIFEST_FORMAT, Manifest, ObjectRef, Provenance, Root, Verity,
};
use image_format::{BLOCK, ImageName, ObjectId, Role, Sha256, Version, index};

use super::error::{Place, RecipeError};
use super::raw::Source;

/// Checks all values of the recipe at `path` that the manifest has rules for.
pub(super) fn check(path: &Path, source: &Source) -> Result<(), RecipeError> {
    let raw = &source.content;
    let try_with = |span: Range<usize>, put: &dyn Fn(&mut Manifest)| {
        let mut manifest = skeleton();
        put(&mut manifest);
        manifest.validate().map_err(|error| RecipeError::Mistake {
            path: path.to_owned(),
            place: Place::of(&source.text, span.start),
            message: match error {
                DocumentError::Field { field, expected, found, .. } => {
                    format!("{field}: expected {expected}, found {found}")
                }
                other => other.to_string(),
            },
        })
    };
    if let Some(cmdline) = &raw.kernel.cmdline {
        try_with(cmdline.span(), &|manifest| manifest.kernel.cmdline.clone_from(cmdline.get_ref()))?;
    }
    if let Some(size) = &raw.disk.slot_mib {
        try_with(size.span(), &|manifest| manifest.disk.slot_mib = *size.get_ref())?;
    }
    if let Some(size) = &raw.disk.state_mib {
        try_with(size.span(), &|manifest| manifest.disk.state_mib = *size.get_ref())?;
    }
    if let Some(attempts) = &raw.health.attempts {
        try_with(attempts.span(), &|manifest| manifest.health.attempts = *attempts.get_ref())?;
    }
    if let Some(deadline) = &raw.health.deadline_s {
        try_with(deadline.span(), &|manifest| manifest.health.deadline_s = *deadline.get_ref())?;
    }
    for check in &raw.health.checks {
        try_with(check.span(), &|manifest| manifest.health.checks.push(check.get_ref().clone()))?;
    }
    for path in &raw.etc_state {
        try_with(path.span(), &|manifest| manifest.etc_state.push(path.get_ref().clone()))?;
    }
    Ok(())
}

/// A manifest that satisfies every rule.
fn skeleton() -> Manifest {
    let object = |size| ObjectRef { id: ObjectId::of(&[]), size };
    let word = "any name of letters is valid";
    let role: Role = "role".parse().expect(word);
    let version: Version = "1".parse().expect(word);
    Manifest {
        format: MANIFEST_FORMAT,
        name: ImageName { role, version },
        arch: "amd64".to_owned(),
        class: "generic".to_owned(),
        counter: 1,
        epoch: 0,
        root: Root {
            size: BLOCK,
            index: object(index::encoded_len(1)),
            verity: Verity { root_hash: Sha256::of(&[]), salt: Sha256::of(&[]) },
        },
        kernel: Kernel { release: "6".to_owned(), object: object(1), cmdline: String::new() },
        initramfs: object(1),
        bios: None,
        disk: DiskSizes { slot_mib: 1, state_mib: 1 },
        health: Health { attempts: 1, deadline_s: 1, checks: Vec::new() },
        etc_state: Vec::new(),
        packages: Vec::new(),
        files: object(1),
        sbom: Some(object(1)),
        provenance: Some(Provenance {
            builder: "imgtool".to_owned(),
            recipe: Sha256::of(&[]),
            agent: Sha256::of(&[]),
            trusted_root: Sha256::of(&[]),
            archives: Vec::new(),
            allowed_secrets: Vec::new(),
        }),
    }
}
