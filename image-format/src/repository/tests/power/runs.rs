//! Publishing and collecting, cut at every moment with every legal loss.

use std::path::Path;

use signing::repo::Section;

use super::model::{Model, Remains};
use crate::device::sim::Tally;
use crate::repository::tests::deaths::copy_dir;
use crate::repository::tests::gc::{NOW_OLD, age, assert_whole};
use crate::repository::tests::publisher::{Image, NOW, Publisher, image};
use crate::repository::{Repository, Upload, load_view};
use crate::store::fault::{Done, traced};
use crate::store::tests::{scratch, store};
use crate::store::{Store, StoreError};

/// What readers see: everything that is published, as one value.
fn seen(store: &Store) -> Result<Option<Upload>, String> {
    load_view(store).map_err(|error| format!("readers cannot load: {error}"))?;
    Repository::open(store).export().map_err(|error| format!("readers cannot load: {error}"))
}

/// Stores the objects of `images` in one batch, then publishes.
fn publish(store: &Store, images: &[Image], upload: &Upload) -> Result<(), String> {
    let mut batch = store.batch().map_err(|error| error.to_string())?;
    for object in images.iter().flat_map(|image| &image.objects) {
        batch.put(object).map_err(|error| error.to_string())?;
    }
    batch.commit().map_err(|error| error.to_string())?;
    Repository::open(store).commit(upload.clone(), NOW).map(drop).map_err(|error| format!("{error}"))
}

/// Every object that is to be seen is whole; what lies beside is no pack and no object.
fn objects_are_whole(store: &Store) -> Result<(), String> {
    for object in store.list() {
        let id = object.map_err(|error| format!("in the store: {error}"))?;
        store.verify_object(id).map_err(|error| format!("visible and not whole: {error}"))?;
    }
    Ok(())
}

/// What a publisher did to a copy of `origin`.
fn trace(origin: &Path, work: impl FnOnce(&Store) -> Result<(), String>) -> (Model, Vec<Done>) {
    let copy = scratch();
    let path = copy.path().join("store");
    copy_dir(origin, &path);
    age(&path);
    let model = Model::of(&path);
    let store = Store::open(&path).unwrap();
    let (result, done) = traced(|| work(&store));
    result.unwrap();
    (model, done)
}

/// After a cut: readers see `old` or `new`, all of it whole; the same again completes.
fn judge(
    remains: &Remains,
    old: &Option<Upload>,
    new: &Upload,
    again: impl FnOnce(&Store) -> Result<(), String>,
) -> Result<(), String> {
    let store = Store::open(&remains.path).map_err(|error| error.to_string())?;
    let mut now = seen(&store)?;
    if now.as_ref() != Some(new) {
        // A root that was signed by the trusted one may show before the rest, never instead of it.
        if let (Some(now), Some(old)) = (&mut now, old) {
            now.metadata.retain(|name, _| !name.ends_with("root.json") || old.metadata.contains_key(name));
        }
        if now != *old {
            return Err("readers see neither the old nor the new state".to_owned());
        }
    }
    objects_are_whole(&store)?;
    if now.is_some() {
        assert_whole(&store);
    }
    age(store.path());
    again(&store)?;
    if seen(&store)?.as_ref() != Some(new) {
        return Err("the same again does not complete".to_owned());
    }
    assert_whole(&store);
    objects_are_whole(&store)
}

fn many_objects(image: Image, more: usize) -> Image {
    let extra = (0..more).map(|number| format!("object {number}").into_bytes());
    Image { objects: image.objects.into_iter().chain(extra).collect(), ..image }
}

#[test]
fn a_first_publication_is_nothing_or_all() {
    let mut tally = Tally::new("first publication, cut anywhere with every legal loss");
    let (dir, _) = store();
    let origin = dir.path().join("store");
    // Two objects in files of their own, a pack, and so much that the whole file system is synced.
    let large = || Image { objects: vec![vec![1; 1 << 20], vec![2; 1 << 20]], ..image("ha@1", "one") };
    for images in [vec![image("ha@1", "one")], vec![large(), many_objects(image("ha@1", "one"), 20)]] {
        let mut admin = Publisher::new();
        admin.list(&images[images.len() - 1].manifest);
        let upload = admin.upload();
        let (model, done) = trace(&origin, |store| publish(store, &images, &upload));
        for remains in model.cuts(&done) {
            tally.check(&remains.what, || {
                judge(&remains, &None, &upload, |store| publish(store, &images, &upload))
            });
        }
    }
    assert!(tally.states() > 200, "{}", tally.states());
    tally.finish();
}

/// What was stored is durable without a publication: a sender is told so, and does not send it again.
#[test]
fn a_batch_that_says_it_is_through_is_there_whatever_is_lost() {
    let mut tally = Tally::new("batches, cut after they returned");
    let (dir, _) = store();
    let origin = dir.path().join("store");
    let large = || vec![7; 1 << 20];
    let many = |count: u8| (0..count).map(|number| vec![number; 10]).collect::<Vec<_>>();
    for objects in [
        many(1),
        many(3),
        vec![large()],
        [many(2), vec![large()]].concat(),
        [many(20), vec![large()]].concat(),
    ] {
        let (model, done) = trace(&origin, |store| {
            let mut batch = store.batch().map_err(|error| error.to_string())?;
            for object in &objects {
                batch.put(object).map_err(|error| error.to_string())?;
            }
            batch.commit().map(drop).map_err(|error| error.to_string())
        });
        for remains in model.cuts(&done) {
            let returned = remains.what.starts_with("at the end");
            tally.check(&remains.what, || {
                let store = Store::open(&remains.path).map_err(|error| error.to_string())?;
                objects_are_whole(&store)?;
                for object in objects.iter().filter(|_| returned) {
                    let id = crate::ObjectId::of(object);
                    store.verify_object(id).map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            });
        }
    }
    tally.finish();
}

/// A published image in a store, and the next one.
struct Scene {
    dir: tempfile::TempDir,
    old: Upload,
    next: Vec<Image>,
    upload: Upload,
}

impl Scene {
    fn new(rotate: bool) -> Self {
        let (dir, store) = store();
        let mut admin = Publisher::new();
        let one = image("ha@1", "one");
        let digest = admin.list(&one.manifest);
        admin.pin("web", "ha@1", digest);
        publish(&store, &[one], &admin.upload()).unwrap();
        let old = seen(&store).unwrap().unwrap();
        let two = image("ha@2", "two");
        let digest = admin.list(&two.manifest);
        admin.pin("web", "ha@2", digest);
        if rotate {
            admin.rotate(signing::repo::RoleName::Root, 77);
        }
        let mut upload = admin.upload();
        // As readers see it: with the roots that stay.
        let roots = old.metadata.iter().filter(|(name, _)| name.ends_with("root.json"));
        upload.metadata.extend(roots.map(|(name, bytes)| (name.clone(), bytes.clone())));
        let scratch = scratch();
        copy_dir(&dir.path().join("store"), &scratch.path().join("store"));
        let preview = Store::open(scratch.path().join("store")).unwrap();
        publish(&preview, std::slice::from_ref(&two), &upload).unwrap();
        let upload = seen(&preview).unwrap().unwrap();
        Self { dir, old, next: vec![two], upload }
    }

    fn origin(&self) -> std::path::PathBuf {
        self.dir.path().join("store")
    }
}

#[test]
fn the_next_publication_is_old_or_new_never_a_mix() {
    let mut tally = Tally::new("next publication, cut anywhere with every legal loss");
    for rotate in [false, true] {
        let scene = Scene::new(rotate);
        let again = |store: &Store| publish(store, &scene.next, &scene.upload);
        let (model, done) = trace(&scene.origin(), again);
        for remains in model.cuts(&done) {
            tally.check(&remains.what, || judge(&remains, &Some(scene.old.clone()), &scene.upload, again));
        }
    }
    assert!(tally.states() > 200, "{}", tally.states());
    tally.finish();
}

#[test]
fn a_cut_in_the_second_try_is_no_worse() {
    let mut tally = Tally::new("publication, cut again in the second try");
    let scene = Scene::new(false);
    let again = |store: &Store| publish(store, &scene.next, &scene.upload);
    let (model, done) = trace(&scene.origin(), again);
    for remains in model.cuts(&done).into_iter().step_by(29) {
        let (model, done) = trace(&remains.path, again);
        for second in model.cuts(&done).into_iter().step_by(7) {
            tally.check(format_args!("{}; then {}", remains.what, second.what), || {
                judge(&second, &Some(scene.old.clone()), &scene.upload, again)
            });
        }
    }
    tally.finish();
}

#[test]
fn a_collection_loses_nothing_that_is_referred_to() {
    let mut tally = Tally::new("collection, cut anywhere with every legal loss");
    let (dir, store) = store();
    let mut admin = Publisher::new();
    let (one, two) = (image("ha@1", "one"), image("ha@2", "two"));
    admin.list(&one.manifest);
    admin.list(&two.manifest);
    publish(&store, &[Image { manifest: one.manifest.clone(), objects: one.objects }, two], &admin.upload())
        .unwrap();
    admin.unlist(Section::Releases, &one.manifest.name.target_path());
    Repository::open(&store).commit(admin.upload(), NOW).unwrap();
    // Dead files of their own, and a dead pack.
    for contents in [&["loose"][..], &["dead", "deader", "deadest", "gone"]] {
        let mut batch = store.batch().unwrap();
        for bytes in contents {
            batch.put(bytes.as_bytes()).unwrap();
        }
        batch.commit().unwrap();
    }
    let published = seen(&store).unwrap().unwrap();
    let collect = |store: &Store| NOW_OLD.run(store).map(drop).map_err(|error| error.to_string());
    let (model, done) = trace(&dir.path().join("store"), collect);
    assert!(done.iter().any(|done| matches!(done, Done::Remove(_))), "{done:?}");
    for remains in model.cuts(&done) {
        tally.check(&remains.what, || {
            judge(&remains, &Some(published.clone()), &published, collect)?;
            let store = Store::open(&remains.path).map_err(|error: StoreError| error.to_string())?;
            let dead = crate::ObjectId::of(b"deader");
            let gone = !store.contains(dead).map_err(|error| error.to_string())?;
            if gone { Ok(()) } else { Err("the second collection left something".to_owned()) }
        });
    }
    assert!(tally.states() > 20, "{}", tally.states());
    tally.finish();
}
