//! `imgtool publish` and `imgtool gc` killed at every system call that changes a file system, for real.
//!
//! `strace` counts the calls and sends SIGKILL at the N-th, for every N until the program comes through. It is no part of a plain
//! `cargo test`; `cargo verify` runs it, or `cargo test -p image-tool --test syscalls -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "cli/image.rs"]
mod image;
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "cli/place.rs"]
mod place;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use image::Fake;
use place::Place;

/// Calls by which a program changes a file system, or what others may rely on.
const CHANGES: &[&str] = &[
    "creat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "sync_file_range",
    "fadvise64",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "utimensat",
    "flock",
    "copy_file_range",
    "sendfile",
    "close",
    "openat",
];

/// More calls of one kind than any of these runs makes.
const CALLS_MAX: u32 = 2000;

/// Runs `imgtool` with a kill at the call `call` number `at` (from 1) of one of its threads; says whether it was killed.
fn killed_at(place: &Place, args: &[&str], call: &str, at: u32) -> bool {
    let program = place.command(args);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]);
    strace.arg(format!("-etrace={call}")).arg(format!("-einject={call}:signal=KILL:when={at}"));
    strace.arg(program.get_program()).args(program.get_args());
    strace.env_clear().env("BASCULE_REPO", place.repo()).current_dir(place.path("."));
    let status = strace.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace is installed");
    assert!(status.code().is_none_or(|code| code == 0 || code == 137), "{args:?} at {call} {at}: {status}");
    !status.success()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Everything below has been there for ten days.
fn age(dir: &Path) {
    let then = SystemTime::now() - Duration::from_secs(10 * 24 * 3600);
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            age(&entry);
        } else {
            fs::File::options().append(true).open(entry).unwrap().set_modified(then).unwrap();
        }
    }
}

fn timestamp(store: &str) -> Option<Vec<u8>> {
    fs::read(Path::new(store).join("tuf/metadata/timestamp.json")).ok()
}

/// Kills `args` at every call on a copy of `origin` (or on nothing). After each kill readers see the old or the new state and all
/// of it verifies; the same again completes and leaves no temporary file.
fn every_call(what: &str, place: &Place, origin: Option<&str>, args: &dyn Fn(&str) -> Vec<String>) {
    let run = |store: &str, call: &str, at: u32| {
        let args = args(store);
        killed_at(place, &args.iter().map(String::as_str).collect::<Vec<_>>(), call, at)
    };
    let fresh = |name: &str| {
        let store = place.path(name).display().to_string();
        if let Some(origin) = origin {
            copy_dir(Path::new(origin), Path::new(&store));
            age(Path::new(&store));
        }
        store
    };
    let model = fresh("model");
    assert!(!run(&model, "openat", CALLS_MAX), "more than {CALLS_MAX} calls");
    let (old, new) = (origin.and_then(timestamp), timestamp(&model));
    let mut kills = 0;
    for call in CHANGES {
        for at in 1..CALLS_MAX {
            let store = fresh(&format!("killed-{call}-{at}"));
            if !run(&store, call, at) {
                break;
            }
            kills += 1;
            let now = timestamp(&store);
            assert!(now == old || now == new, "{what}, {call} {at}: neither old nor new");
            if now.is_some() {
                place.ok(&["verify", "--all", "--store", &store]);
            }
            place.ok(&args(&store));
            assert_eq!(timestamp(&store), new, "{what}, {call} {at}: the same again does not complete");
            place.ok(&["verify", "--all", "--store", &store]);
            let left = fs::read_dir(format!("{store}/tmp")).unwrap().count();
            assert_eq!(left, 0, "{what}, {call} {at}: not swept");
            fs::remove_dir_all(&store).unwrap();
        }
    }
    println!("{what}: killed at each of {kills} system calls, 0 violations");
    assert!(kills > 60, "{kills}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
#[ignore = "needs strace, and minutes"]
fn a_first_publication_killed_at_every_call() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    every_call("first publication", &place, None, &|store| words(&["publish", "--to", store]));
}

#[test]
#[ignore = "needs strace, and minutes"]
fn the_next_publication_killed_at_every_call() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    let origin = place.store();
    place.ok(&["publish", "--to", &origin]);
    place.signed(&Fake::new("ha@2", 2, 14));
    every_call("next publication", &place, Some(&origin), &|store| words(&["publish", "--to", store]));
}

#[test]
#[ignore = "needs strace, and minutes"]
fn a_collection_killed_at_every_call() {
    let place = Place::new();
    place.signed(&Fake::new("ha@1", 1, 12));
    let origin = place.store();
    place.ok(&["publish", "--to", &origin]);
    // Objects that nothing refers to, in a file of their own and in the place of a pack's.
    let other = Place::new();
    other.signed(&Fake::new("ha@9", 9, 30));
    let foreign = other.store();
    other.ok(&["publish", "--to", &foreign]);
    for dir in ["objects", "packs"] {
        copy_dir(&Path::new(&foreign).join(dir), &Path::new(&origin).join(dir));
    }
    age(Path::new(&origin));
    let forecast = place.json(&["gc", "--to", &origin, "--dry-run"]);
    let collected = &forecast.get("collected").unwrap_or(&forecast)["removed_objects"];
    assert!(collected.as_u64().is_some_and(|count| count > 10), "{forecast}");
    every_call("collection", &place, Some(&origin), &|store| words(&["gc", "--to", store]));
}
