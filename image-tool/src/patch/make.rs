//! Making what is wanted, and signing that it may be used.

use anyhow::{Context as _, ensure};
use image_format::repository::TargetKind;
use image_format::store::Store;

use super::{Effort, Made, Wanted, make_patch, make_stream};
use crate::change::{Change, Done};
use crate::context::Context;
use crate::ui::Ui;

/// Makes all that is wanted. Objects are durable when it returns.
///
/// # Errors
/// The first patch that cannot be made.
pub(crate) fn make(store: &Store, wanted: Wanted, effort: Effort, ui: &Ui) -> anyhow::Result<Made> {
    let Wanted { to, from, stream } = wanted;
    let mut patches = Vec::new();
    for from in &from {
        let mut batch = store.batch()?;
        let patch = make_patch(store, &mut batch, (from, &to), effort, ui);
        let what = || format!("make the patch from {} to {}", from.name(), to.name());
        patches.push(patch.with_context(what)?.0);
        batch.commit().context("store a patch")?;
    }
    let mut whole = None;
    if stream {
        let mut batch = store.batch()?;
        let stream = make_stream(store, &mut batch, &to, effort, ui);
        whole = Some(stream.with_context(|| format!("make the whole stream of {}", to.name()))?);
        batch.commit().context("store a whole stream")?;
    }
    Ok(Made { to, patches, stream: whole })
}

/// Signs lists of what was made, in the local store.
pub(crate) fn sign(context: &Context, made: Vec<Made>) -> anyhow::Result<Done> {
    let mut change = Change::local(context)?;
    for made in made {
        let name = made.image().clone();
        // Making takes minutes, without the repository's lock.
        let listed = change.view.images.get(&name).map(|(digest, _)| *digest);
        ensure!(listed == Some(made.to.digest()), "{name} has changed while its patches were made");
        let list = made.list(&change.view);
        let bytes = list.to_bytes().with_context(|| format!("list the patches to {name}"))?;
        change.set(TargetKind::Patches(name), bytes)?;
    }
    change.finish()
}
