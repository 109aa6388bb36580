//! The signed list of patches: used where it helps, and never needed.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, dead_code)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{HttpServer, Repo, manifest, node, now};
use image_format::index::{Entry, Index};
use image_format::manifest::ObjectRef;
use image_format::patch::{BlockRange, EntryRun, Segment, SegmentTable, encode_index_patch};
use image_format::patches::{Patch, Patches, Stream, patches_path};
use image_format::record::Record;
use image_format::slot_layout::SlotLayout;
use image_format::{ChunkId, Manifest, ObjectId, Sha256};
use initramfs_agent::disk::SlotImage;
use initramfs_agent::fleet::ways::{Prepared, prepare};
use initramfs_agent::fleet::{Server, Wish, wish};
use signing::repo::Section;

/// An index of two hundred chunks that are named by `seed` and their number; every tenth by the number alone.
fn index(seed: &str) -> Index {
    let entry = |number: u32| {
        let name = if number.is_multiple_of(10) { seed } else { "" };
        let text = format!("{name}{number}");
        Entry {
            chunk: ChunkId::of(text.as_bytes()),
            object: ObjectId::of(text.as_bytes()),
            plain_len: 8192,
            stored_len: 4000,
        }
    };
    Index::new((0..200).map(entry).collect()).unwrap()
}

fn reference(bytes: &[u8]) -> ObjectRef {
    ObjectRef { id: ObjectId::of(bytes), size: bytes.len() as u64 }
}

fn with_index(name: &str, counter: u64, index: &Index) -> Manifest {
    let mut manifest = manifest(name, counter);
    manifest.root.size = index.plain_size();
    manifest.root.index = reference(&index.encode());
    manifest
}

/// A repository with `base@2` pinned, a list of patches, and the objects that belong to it.
struct Site {
    repo: Repo,
    objects: BTreeMap<String, Vec<u8>>,
    seed: SlotImage,
    index: Index,
    list: Patches,
}

impl Site {
    fn new() -> Self {
        let mut repo = Repo::new();
        let (old, new) = (index("old"), index("new"));
        let (first, second) = (with_index("base@1", 1, &old), with_index("base@2", 2, &new));
        repo.release(&first);
        let digest = repo.release(&second);
        repo.pin("cluster", "base@2", digest);
        repo.assign_default("cluster");
        let mut objects = BTreeMap::new();
        let mut put = |bytes: Vec<u8>| {
            let object = reference(&bytes);
            objects.insert(format!("/objects/{}", object.id), bytes);
            object
        };
        put(new.encode());
        let segment = |base: Vec<BlockRange>| Segment {
            object: ObjectId::of(b"segment"),
            stored_len: 100,
            plain_len: 8192,
            base,
            entries: vec![EntryRun { first: 0, count: 1 }],
        };
        let target = second.root.index.id;
        let base = vec![BlockRange { first: 0, count: 2 }];
        let patch = SegmentTable::new(Some(first.root.index.id), target, vec![segment(base)]).unwrap();
        let stream = SegmentTable::new(None, target, vec![segment(Vec::new())]).unwrap();
        let first_bytes = first.to_bytes().unwrap();
        let mut list = Patches::empty(second.name.clone(), digest);
        list.patches.push(Patch {
            from: Sha256::of(&first_bytes),
            name: first.name.clone(),
            table: put(patch.encode()),
            bytes: 100,
            index: put(encode_index_patch(&new.encode(), &old.encode()).unwrap()),
        });
        list.stream = Some(Stream { table: put(stream.encode()), bytes: 100 });
        let layout = SlotLayout::of(&first, 1 << 34).unwrap();
        let seed = SlotImage {
            digest: Sha256::of(&first_bytes),
            manifest_bytes: first_bytes,
            manifest: first,
            index: old,
            evidence: Vec::new(),
            layout,
        };
        Self { repo, objects, seed, index: new, list }
    }

    /// Signs the list as it is now, and asks for the wish.
    fn publish(&mut self) -> (HttpServer, Server, Wish) {
        let bytes = self.list.to_bytes().unwrap();
        let path = patches_path(&"base@2".parse().unwrap());
        let digest = Sha256::of(&bytes);
        let releases = Section::Releases;
        self.repo
            .repository
            .set_target(releases, &path, bytes.len() as u64, digest.as_bytes(), None)
            .unwrap();
        let mut files = self.repo.publish();
        files.extend(self.objects.clone());
        let name = path.strip_prefix("images/").unwrap();
        files.insert(format!("/targets/images/{digest}.{name}"), bytes);
        let http = HttpServer::start(files);
        let mut server = Server::new(http.base(), Duration::from_millis(300));
        let asked = wish::ask(&mut server, &self.repo.root, &Record::default(), &node(), None, now());
        (http, server, asked.wish.unwrap())
    }

    /// What is prepared, and which objects were asked for.
    fn prepare(&mut self, seed: bool) -> (Prepared, Vec<String>) {
        let (http, mut server, wish) = self.publish();
        let before = http.requests().len();
        let seed = seed.then_some(&self.seed);
        let prepared = prepare(&mut server, &wish, seed, None).unwrap();
        assert!(prepared.index == self.index.encode());
        (prepared, http.requests().split_off(before))
    }

    fn path(&self, object: ObjectRef) -> String {
        format!("/objects/{}", object.id)
    }

    fn whole_index(&self) -> String {
        self.path(reference(&self.index.encode()))
    }
}

#[test]
fn an_update_takes_the_index_by_patch_and_the_table_and_nothing_else() {
    let mut site = Site::new();
    let (prepared, asked) = site.prepare(true);
    let patch = &site.list.patches[0];
    assert!(asked[0].contains("@patches.base@2.json"), "{asked:?}");
    assert_eq!(asked[1..], [site.path(patch.index), site.path(patch.table)]);
    assert_eq!(prepared.fetched, patch.index.size + patch.table.size);
    assert!(prepared.ways().patch.is_some() && prepared.ways().stream.is_none());
}

#[test]
fn an_empty_disk_takes_the_stream() {
    let mut site = Site::new();
    let (prepared, asked) = site.prepare(false);
    let stream = site.list.stream.as_ref().unwrap().table;
    assert_eq!(asked[1..], [site.whole_index(), site.path(stream)]);
    assert!(prepared.ways().patch.is_none() && prepared.ways().stream.is_some());
}

#[test]
fn the_stream_is_the_last_resort_of_an_update() {
    let mut site = Site::new();
    let (_http, mut server, wish) = site.publish();
    let mut prepared = prepare(&mut server, &wish, Some(&site.seed), None).unwrap();
    assert!(prepared.add_stream(&mut server));
    assert!(prepared.ways().patch.is_some() && prepared.ways().stream.is_some());
    assert!(!prepared.add_stream(&mut server), "it is tried once");
}

#[test]
fn a_node_that_has_everything_asks_for_no_table() {
    let mut site = Site::new();
    let (http, mut server, wish) = site.publish();
    let target = SlotImage { index: site.index.clone(), ..site.seed.clone() };
    let prepared = prepare(&mut server, &wish, Some(&site.seed), Some(&target)).unwrap();
    assert!(prepared.ways().patch.is_none() && prepared.ways().stream.is_none());
    assert!(!http.requests().contains(&site.path(site.list.patches[0].table)));
}

#[test]
fn whatever_is_wrong_with_the_list_the_whole_index_does() {
    type Damage<'a> = &'a dyn Fn(&mut Site);
    let damages: [(&str, Damage<'_>); 5] = [
        ("another image's", &|site| site.list.image = "base@3".parse().unwrap()),
        ("another manifest's", &|site| site.list.manifest = Sha256::of(b"other")),
        ("from elsewhere", &|site| site.list.patches[0].from = Sha256::of(b"other")),
        ("index patch is gone", &|site| {
            site.objects.remove(&site.path(site.list.patches[0].index));
        }),
        ("index patch is rotten", &|site| {
            let path = site.path(site.list.patches[0].index);
            site.objects.get_mut(&path).unwrap()[20] ^= 1;
        }),
    ];
    for (what, damage) in damages {
        let mut site = Site::new();
        damage(&mut site);
        let (_, asked) = site.prepare(true);
        assert!(asked.contains(&site.whole_index()), "{what}: {asked:?}");
    }
    // A signed patch of the index that makes another one.
    let mut site = Site::new();
    let wrong = encode_index_patch(&index("bad").encode(), &index("old").encode()).unwrap();
    site.list.patches[0].index = reference(&wrong);
    site.objects.insert(site.path(reference(&wrong)), wrong);
    let (_, asked) = site.prepare(true);
    assert!(asked.contains(&site.whole_index()), "{asked:?}");
}

#[test]
fn a_table_that_is_gone_or_rotten_is_no_way() {
    for rot in [false, true] {
        let mut site = Site::new();
        let path = site.path(site.list.patches[0].table);
        if rot {
            site.objects.get_mut(&path).unwrap()[90] ^= 1;
        } else {
            site.objects.remove(&path);
        }
        let (prepared, _) = site.prepare(true);
        assert!(prepared.ways().patch.is_none());
        assert!(prepared.ways().stream.is_some(), "the next way");
    }
}
