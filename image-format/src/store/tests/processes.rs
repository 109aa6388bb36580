//! Several processes in one store at the same time: this test program runs itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};

use super::{scratch, visible};
use crate::ObjectId;
use crate::store::Store;

const STORE: &str = "BASCULE_TEST_STORE";
const NUMBER: &str = "BASCULE_TEST_WRITER";

/// Batches of a writer, and objects in each.
const BATCHES: u32 = 12;
const OBJECTS: u32 = 40;

/// Half of what a writer has is only his.
fn content(writer: u32, batch: u32, object: u32) -> Vec<u8> {
    let owner = if object.is_multiple_of(2) { writer } else { 0 };
    let text = format!("{owner} {batch} {object} ");
    text.repeat(20 + object as usize).into_bytes()
}

fn start(writer: u32, store: &Path) -> Child {
    // Not by its name: a build may have replaced it.
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "store::tests::processes::writer", "--quiet"]);
    command.env(STORE, store).env(NUMBER, writer.to_string());
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

/// The other process; does nothing as a test of its own.
#[test]
fn writer() {
    let (Ok(store), Ok(number)) = (std::env::var(STORE), std::env::var(NUMBER)) else { return };
    let store = Store::open(store).unwrap();
    let number = number.parse().unwrap();
    for batch in 0..BATCHES {
        let mut into = store.batch().unwrap();
        for object in 0..OBJECTS {
            into.put(&content(number, batch, object)).unwrap();
        }
        into.commit().unwrap();
        for object in 0..OBJECTS {
            store.verify_object(ObjectId::of(&content(number, batch, object))).unwrap();
        }
    }
}

#[test]
fn writers_and_readers_in_several_processes() {
    let dir = scratch();
    let store = Store::create(dir.path()).unwrap();
    let mut writers: Vec<Child> = (1..=3).map(|writer| start(writer, dir.path())).collect();
    let mut seen = BTreeSet::new();
    let is_running = |child: &mut Child| child.try_wait().unwrap().is_none();
    while writers.iter_mut().any(is_running) {
        let now = visible(&store);
        assert!(seen.is_subset(&now), "objects were there and are gone");
        for id in now.difference(&seen).take(20) {
            store.verify_object(*id).unwrap();
        }
        seen = now;
    }
    for writer in &mut writers {
        assert!(writer.wait().unwrap().success());
    }
    let all = |writer| {
        let ids = (0..BATCHES)
            .flat_map(move |batch| (0..OBJECTS).map(move |object| content(writer, batch, object)));
        ids.map(|bytes| ObjectId::of(&bytes))
    };
    let expected: BTreeSet<_> = (1..=3).flat_map(all).collect();
    assert_eq!(visible(&store), expected);
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}
