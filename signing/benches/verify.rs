//! What verifying costs a node: `cargo bench -p signing --bench verify`.
//!
//! A whole refresh from nothing (five files, each with its signatures), a refresh where only the timestamp is new, and the
//! check of a stored proof as it happens at every boot. The repository has 200 images and 100 groups.

// Clippy takes a benchmark's helpers for production code.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Instant;

use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section};
use signing::{Client, SecretKey, TrustedFiles, UnixTime, find_target, refresh};

const NOW: UnixTime = UnixTime(1_900_000_000);
const IMAGES: u32 = 200;
const GROUPS: u32 = 100;
const ROUNDS: u32 = 200;

fn main() {
    let mut keys = RoleKeys::default();
    for (seed, role) in (1..).zip(RoleName::ALL) {
        keys.of_mut(role).push(SecretKey::from_seed(&[seed; 32]).unwrap());
    }
    let mut repo = Repository::create(&keys, Lifetimes::default());
    for image in 0..IMAGES {
        repo.set_target(Section::Releases, &format!("images/ha@{image}.json"), 5000, &[7; 32], None).unwrap();
    }
    for group in 0..GROUPS {
        repo.set_target(Section::Pins, &format!("pins/rack{group}.json"), 300, &[9; 32], None).unwrap();
    }
    let files = repo.write(&keys, NOW).unwrap();
    let bytes: usize = files.values().map(Vec::len).sum();
    println!("{IMAGES} images, {GROUPS} groups: {} files, {bytes} bytes", files.len());

    let first = TrustedFiles::from_root(files["1.root.json"].clone());
    let whole = run(&files, &first);
    show("whole refresh, a pin and an image found", || drop(run(&files, &first)));
    let mut newer = files.clone();
    newer.extend(repo.write(&keys, NOW).unwrap());
    show("refresh with a new timestamp and snapshot", || drop(run(&newer, &whole)));
    show("stored proof, offline", || drop(Client::offline(whole.clone()).unwrap()));
}

fn run(files: &BTreeMap<String, Vec<u8>>, trusted: &TrustedFiles) -> TrustedFiles {
    let mut client = Client::new(trusted.clone(), NOW).unwrap();
    let fetch = |wanted: &signing::Fetch| Ok::<_, ()>(files.get(&wanted.name).cloned());
    refresh(&mut client, fetch).unwrap();
    for path in ["pins/rack7.json", "images/ha@150.json"] {
        assert!(find_target(&mut client, path, fetch).unwrap().is_some());
    }
    client.proof().unwrap()
}

fn show(what: &str, mut once: impl FnMut()) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            once();
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[times.len() * part / 100];
    println!("{what:45} median {:6.2} ms, 95th percentile {:6.2} ms", at(50), at(95));
}
