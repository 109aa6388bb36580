//! The signed lists of patches: what a commit asks of them.

use signing::repo::Section;

use super::publisher::{NOW, Publisher, stored_image};
use crate::index::{INDEX_MAX, Index};
use crate::manifest::ObjectRef;
use crate::patch::{EntryRun, Segment, SegmentTable, encode_index_patch, encode_segment};
use crate::patches::{Patch, Patches, Stream, patches_path};
use crate::repository::{CommitError, ContentError, Repository, load_view};
use crate::store::Store;
use crate::store::tests::store;
use crate::{Manifest, ObjectId, Sha256, codec};

/// Two images in a store, and their admin.
pub(super) struct Two<'s> {
    store: &'s Store,
    pub(super) admin: Publisher,
    old: (Sha256, Manifest),
    new: (Sha256, Manifest),
}

impl<'s> Two<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        let mut admin = Publisher::new();
        let mut list = |name, content| {
            let manifest = stored_image(store, name, content);
            (admin.list(&manifest), manifest)
        };
        let (old, new) = (list("ha@1", "one"), list("ha@2", "two"));
        let mut two = Self { store, admin, old, new };
        assert!(two.commit().is_ok());
        two
    }

    pub(super) fn commit(&mut self) -> Result<(), CommitError> {
        let upload = self.admin.upload();
        Repository::open(self.store).commit(upload, NOW).map(drop)
    }

    /// Lists `patches` in the place of those before and commits.
    pub(super) fn offer(&mut self, patches: &Patches) -> Result<(), CommitError> {
        let path = patches_path(&"ha@2".parse().unwrap());
        self.admin.list_bytes(Section::Releases, &path, patches.to_bytes().unwrap());
        self.commit()
    }

    fn index(&self, manifest: &Manifest) -> Index {
        Index::parse(&self.store.read(manifest.root.index.id, INDEX_MAX).unwrap()).unwrap()
    }

    fn put(&self, bytes: &[u8]) -> ObjectRef {
        let mut batch = self.store.batch().unwrap();
        batch.put(bytes).unwrap();
        batch.commit().unwrap();
        ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 }
    }

    /// One segment for the first data entry of the new image.
    fn segment(&self) -> Segment {
        let index = self.index(&self.new.1);
        let (first, entry) = index.entries().iter().enumerate().find(|(_, entry)| !entry.is_zero()).unwrap();
        let mut plain = Vec::new();
        let stored = self.store.read(entry.object, entry.stored_len.into()).unwrap();
        codec::decode(&stored, entry.plain_len as usize, &mut plain).unwrap();
        let object = self.put(&encode_segment(&plain, &[], 3).unwrap());
        Segment {
            object: object.id,
            stored_len: object.size as u32,
            plain_len: entry.plain_len,
            base: Vec::new(),
            entries: vec![EntryRun { first: first as u32, count: 1 }],
        }
    }

    fn table(&self, base: Option<&Manifest>, segment: Segment) -> (ObjectRef, u64) {
        let base = base.map(|base| base.root.index.id);
        let table = SegmentTable::new(base, self.new.1.root.index.id, vec![segment]).unwrap();
        (self.put(&table.encode()), table.stored_bytes())
    }

    pub(super) fn patches(&self) -> Patches {
        let (table, bytes) = self.table(Some(&self.old.1), self.segment());
        let [old, new] = [&self.old.1, &self.new.1].map(|manifest| self.index(manifest).encode());
        let index = self.put(&encode_index_patch(&new, &old).unwrap());
        let patch = Patch { from: self.old.0, name: self.old.1.name.clone(), table, bytes, index };
        let (table, bytes) = self.table(None, self.segment());
        let mut patches = Patches::empty(self.new.1.name.clone(), self.new.0);
        patches.stream = Some(Stream { table, bytes });
        patches.patches.push(patch);
        patches
    }
}

#[test]
fn patches_come_grow_and_go() {
    let (_dir, store) = store();
    let mut two = Two::new(&store);
    let patches = two.patches();
    two.offer(&Patches { stream: None, ..patches.clone() }).unwrap();
    two.offer(&patches).unwrap();
    let view = load_view(&store).unwrap().unwrap();
    assert_eq!(view.patches[&"ha@2".parse().unwrap()], patches);
    let exported = Repository::open(&store).export().unwrap().unwrap();
    assert!(exported.targets.keys().any(|name| name.contains(".@patches.ha@2.json")));
    // The image that a patch starts from may be retired.
    two.admin.unlist(Section::Releases, "images/ha@1.json");
    two.commit().unwrap();
    two.admin.unlist(Section::Releases, "images/@patches.ha@2.json");
    two.commit().unwrap();
    assert!(load_view(&store).unwrap().unwrap().patches.is_empty());
}

#[test]
fn patches_do_not_outlive_their_image() {
    let (_dir, store) = store();
    let mut two = Two::new(&store);
    let patches = two.patches();
    two.offer(&patches).unwrap();
    two.admin.unlist(Section::Releases, "images/ha@2.json");
    let error = two.commit().unwrap_err();
    let CommitError::Content(ContentError::PatchesImage { listed: None, image, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(image.to_string(), "ha@2");
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let (_dir, store) = store();
    let mut two = Two::new(&store);
    let good = two.patches();
    let mut refused = |change: &dyn Fn(&Two<'_>, &mut Patches)| {
        let mut patches = good.clone();
        change(&two, &mut patches);
        two.offer(&patches).unwrap_err()
    };
    let error = refused(&|_, patches| patches.manifest = Sha256::of(b"other"));
    assert!(
        matches!(error, CommitError::Content(ContentError::PatchesImage { listed: Some(_), .. })),
        "{error}"
    );
    let error = refused(&|_, patches| patches.image = "ha@3".parse().unwrap());
    assert!(matches!(error, CommitError::Content(ContentError::OtherName { .. })), "{error}");
    let error = refused(&|_, patches| patches.patches[0].from = Sha256::of(b"none"));
    assert!(matches!(error, CommitError::PatchBase { .. }), "{error}");
    let error = refused(&|_, patches| patches.patches[0].table.id = ObjectId::of(b"none"));
    assert!(
        matches!(error, CommitError::MissingObjects { missing: 1, what: "segment table", .. }),
        "{error}"
    );
    let error = refused(&|_, patches| patches.patches[0].table.size += 1);
    assert!(matches!(error, CommitError::MissingObjects { what: "segment table", .. }), "{error}");
    let error = refused(&|_, patches| patches.patches[0].bytes += 1);
    assert!(matches!(error, CommitError::TableBytes { .. }), "{error}");
    let error = refused(&|_, patches| patches.patches[0].table = patches.stream.as_ref().unwrap().table);
    assert!(matches!(error, CommitError::TableBytes { .. }), "{error}");
    let error = refused(&|_, patches| patches.stream.as_mut().unwrap().table = patches.patches[0].table);
    assert!(matches!(error, CommitError::Table { .. }), "{error}");
    let error = refused(&|_, patches| patches.patches[0].table = patches.patches[0].index);
    assert!(matches!(error, CommitError::Table { .. }), "{error}");
    let error = refused(&|_, patches| patches.patches[0].index = patches.patches[0].table);
    assert!(matches!(error, CommitError::IndexPatch { .. }), "{error}");
    let error = refused(&|two, patches| {
        let segment = Segment { object: ObjectId::of(b"none"), ..two.segment() };
        let (table, bytes) = two.table(None, segment);
        patches.stream = Some(Stream { table, bytes });
    });
    assert!(matches!(error, CommitError::MissingObjects { missing: 1, what: "segment", .. }), "{error}");
    let error = refused(&|two, patches| {
        let segment = Segment { plain_len: 1, ..two.segment() };
        let (table, bytes) = two.table(None, segment);
        patches.stream = Some(Stream { table, bytes });
    });
    assert!(matches!(error, CommitError::Table { .. }), "{error}");
    assert!(load_view(&store).unwrap().unwrap().patches.is_empty(), "none of them was taken");
    two.offer(&good).unwrap();
}
