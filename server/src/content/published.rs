//! One loaded state of what is published.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use image_format::repository::{MetadataFile, View};
use image_format::store::Store;
use image_format::{Group, ImageName, NodeId, ObjectId};
use signing::UnixTime;

use super::lists::ListKind;
use crate::fleet::inventory::Standing;

/// What is published, or why it cannot be loaded.
#[derive(Debug, Default)]
pub struct Published {
    /// Everything verified; none before the first publication. With a problem: what was verified last.
    pub view: Option<Arc<View>>,
    /// Why the metadata that is there now could not be loaded.
    pub problem: Option<String>,
    /// What the timestamp file looked like.
    pub(super) stamp: Stamp,
    /// Indexes and segment tables of published images.
    lists: HashMap<ObjectId, ListKind>,
}

/// What a look at `timestamp.json` sees. It is replaced by rename and last, so any publication changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    pub(super) fn of(store: &Store) -> Self {
        let file = std::fs::symlink_metadata(store.path().join("tuf/metadata/timestamp.json"));
        Self(file.ok().map(|file| (file.ino(), file.size(), file.mtime(), file.mtime_nsec())))
    }
}

impl Published {
    pub(super) fn new(view: Option<Arc<View>>, problem: Option<String>, stamp: Stamp) -> Self {
        let images = view.iter().flat_map(|view| view.images.values());
        let indexes = images.map(|(_, image)| (image.root.index.id, ListKind::Index));
        let patches = view.iter().flat_map(|view| view.patches.values());
        let tables = patches.flat_map(|patches| patches.tables());
        let tables = tables.map(|(table, _)| (table.id, ListKind::SegmentTable));
        let lists = indexes.chain(tables).collect();
        Self { view, problem, stamp, lists }
    }

    /// What decisions are made from.
    ///
    /// # Errors
    /// One line for people when there is nothing.
    pub fn view(&self) -> Result<&View, &'static str> {
        match (&self.view, &self.problem) {
            (Some(view), _) => Ok(view),
            (None, None) => Err("nothing is published on this server"),
            (None, Some(_)) => Err("what is published on this server cannot be verified"),
        }
    }

    /// Seconds from `now` until each role expires; negative when it has.
    pub fn expires_in(&self, now: UnixTime) -> BTreeMap<String, i64> {
        let expiries = self.view.iter().flat_map(|view| &view.expiries);
        expiries.map(|(role, expires)| (role.to_string(), expires.0 - now.0)).collect()
    }

    /// Whether a metadata file may be shown. A root becomes visible on disk just before the state that it belongs to.
    pub fn may_show(&self, name: &str) -> bool {
        let root = name.parse::<MetadataFile>().ok().filter(|file| file.role == "root");
        let newest = self.view.as_ref().map(|view| view.root_version);
        root.is_none_or(|root| {
            newest.is_none_or(|newest| root.version.is_some_and(|version| version <= newest))
        })
    }

    /// What kind of list `id` is, if it is one of a published image. Only those are read as a list: else anybody could have us
    /// parse any object as one, again and again.
    pub fn list_kind(&self, id: &ObjectId) -> Option<ListKind> {
        self.lists.get(id).copied()
    }

    /// Group and pinned image of a node, now; `enrolled` is the group of its enrolment.
    pub fn assignment(&self, node: &NodeId, enrolled: Option<&Group>) -> (Option<Group>, Option<ImageName>) {
        let Some(view) = &self.view else { return (enrolled.cloned(), None) };
        let group = view.assignments.group_with(node, enrolled);
        let pinned = group.and_then(|group| view.pins.get(group)).map(|pin| pin.stable.name.clone());
        (group.cloned(), pinned)
    }

    /// Whether the assignments name `node`.
    pub fn standing(&self, node: &NodeId) -> Standing {
        let named = self.view.as_ref().is_some_and(|view| view.assignments.nodes.contains_key(node));
        if named { Standing::Assigned } else { Standing::Stranger }
    }
}
