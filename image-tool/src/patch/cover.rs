//! Which patches there should be, and what the signed list says when they are made.

use image_format::ImageName;
use image_format::patches::{FROM_MAX, Patch, Patches, Stream};
use image_format::repository::View;

use crate::stage::Signed;

/// What nodes could use for an image and what is not there.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The image.
    pub(crate) to: Signed,
    /// Images that nodes have.
    pub(crate) from: Vec<Signed>,
    /// Whether the whole stream is wanted.
    pub(crate) stream: bool,
}

/// What was made for an image.
#[derive(Debug)]
pub(crate) struct Made {
    /// The image.
    pub(crate) to: Signed,
    /// New patches.
    pub(crate) patches: Vec<Patch>,
    /// New whole stream.
    pub(crate) stream: Option<Stream>,
}

/// What `images` lack: patches from older images of their role that groups are pinned to, and the whole stream if `stream`.
pub(crate) fn wanted(view: &View, images: &[Signed], stream: bool) -> Vec<Wanted> {
    let lacks = |to: &Signed| {
        let there = view.patches.get(to.name());
        let is_there = |from: &Signed| there.is_some_and(|there| there.from(&from.digest()).is_some());
        let is_wanted = |from: &Signed| {
            from.name().role == to.name().role
                && from.manifest().counter < to.manifest().counter
                && view.pins.values().any(|pin| pin.stable.manifest == from.digest())
                && !is_there(from)
        };
        let from: Vec<Signed> = Signed::all(view).into_iter().filter(is_wanted).collect();
        let stream = stream && there.is_none_or(|there| there.stream.is_none());
        (stream || !from.is_empty()).then(|| Wanted { to: to.clone(), from, stream })
    };
    images.iter().filter_map(lacks).collect()
}

impl Wanted {
    /// In words, for a remark.
    pub(crate) fn words(&self) -> String {
        let mut ways: Vec<String> = self.from.iter().map(|from| format!("from {}", from.name())).collect();
        ways.extend(self.stream.then(|| "whole".to_owned()));
        format!("{}: {}", self.to.name(), ways.join(", "))
    }
}

impl Made {
    /// The new list: what it had and what was made, without patches from images that are listed no more. Of more than fit the oldest
    /// go.
    pub(crate) fn list(self, view: &View) -> Patches {
        let Self { to, patches, stream } = self;
        let mut list = view
            .patches
            .get(to.name())
            .filter(|known| known.manifest == to.digest())
            .cloned()
            .unwrap_or_else(|| Patches::empty(to.name().clone(), to.digest()));
        let is_new = |known: &Patch| patches.iter().any(|new| new.from == known.from);
        let is_listed = |patch: &Patch| view.images.values().any(|(digest, _)| *digest == patch.from);
        list.patches.retain(|known| !is_new(known) && is_listed(known));
        list.patches.extend(patches);
        let surplus = list.patches.len().saturating_sub(FROM_MAX);
        list.patches.drain(..surplus);
        list.stream = stream.or(list.stream);
        list
    }

    /// The image that was made for.
    pub(crate) fn image(&self) -> &ImageName {
        self.to.name()
    }
}
