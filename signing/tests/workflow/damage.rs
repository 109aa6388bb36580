//! Damage as a matrix: every file × every bit and every length → refused, or the very same verdict; never a panic.
//!
//! A client is driven to the point where it asks for the file; each damaged variant is fed to a copy of it.

use signing::{Client, Fetch, Find, TargetInfo, TrustedFiles};

use crate::site::{NOW, Site};

const PATHS: [&str; 3] = ["floor", "images/ha@1.json", "pins/lab.json"];

/// The next file that a full refresh with all look-ups needs.
fn wanted(client: &mut Client) -> Option<Fetch> {
    client.next().unwrap().or_else(|| client.next_delegated().unwrap())
}

fn drive(site: &Site, mut client: Client, until: &str) -> Client {
    while let Some(fetch) = wanted(&mut client) {
        if fetch.name == until {
            break;
        }
        client.feed(&fetch.name, site.files.get(&fetch.name).map(Vec::as_slice)).unwrap();
    }
    client
}

fn verdict(client: &mut Client) -> Vec<TargetInfo> {
    let found = PATHS.map(|path| match client.find(path).unwrap() {
        Find::Found(target) => target,
        other => panic!("{path}: {other:?}"),
    });
    found.into()
}

/// Feeds every variant of one file; says how many are accepted, all of them with the same verdict.
fn accepted(site: &Site, name: &str) -> usize {
    let ready = drive(site, site.client(), name);
    let good = verdict(&mut drive(site, ready.clone(), ""));
    let file = &site.files[name];
    every_damage(file, |damaged| {
        let mut client = ready.clone();
        if client.feed(name, Some(damaged)).is_err() {
            assert_eq!(client.trusted(), ready.trusted(), "{name}: a refusal changed the state");
            return false;
        }
        assert_eq!(verdict(&mut drive(site, client, "")), good, "{name}: another verdict");
        true
    })
}

fn every_damage(file: &[u8], mut is_accepted: impl FnMut(&[u8]) -> bool) -> usize {
    let mut accepted = 0;
    let mut damaged = file.to_vec();
    for bit in 0..file.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        accepted += usize::from(is_accepted(&damaged));
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..file.len() {
        accepted += usize::from(is_accepted(&file[..length]));
    }
    accepted
}

#[test]
fn files_that_are_listed_with_their_hash() {
    let site = Site::new();
    for name in ["1.snapshot.json", "1.targets.json", "1.releases.json", "1.pins.json"] {
        assert_eq!(accepted(&site, name), 0, "{name}");
    }
}

/// Nothing pins these bytes: white space may turn into other white space, and the last line break may be missing.
#[test]
fn timestamp_and_next_root() {
    let mut site = Site::new();
    site.bump("root");
    site.put("root");
    for name in ["2.root.json", "timestamp.json"] {
        let space = site.files[name].iter().filter(|byte| byte.is_ascii_whitespace()).count();
        let accepted = accepted(&site, name);
        assert!(accepted > 0 && accepted <= 2 * space, "{name}: {accepted} of {space}");
    }
}

#[test]
fn embedded_root() {
    let site = Site::new();
    let good = verdict(&mut drive(&site, site.client(), ""));
    every_damage(&site.first_root, |damaged| match Client::new(TrustedFiles::from_root(damaged), NOW) {
        Ok(client) => {
            assert_eq!(verdict(&mut drive(&site, client, "")), good);
            true
        }
        Err(_) => false,
    });
}

#[test]
fn stored_files() {
    let trusted = Site::new().synced();
    let good = verdict(&mut Client::offline(trusted.clone()).unwrap());
    let is_accepted = |files: TrustedFiles| match Client::offline(files) {
        Ok(mut client) => {
            assert_eq!(verdict(&mut client), good);
            true
        }
        Err(_) => false,
    };
    // Every 13th variant of what the other tests damage completely: here it is about who looks, not about what is seen.
    let sampled = |file: &[u8], with: &dyn Fn(&[u8]) -> TrustedFiles| {
        let mut count = 0;
        every_damage(file, |damaged| {
            count += 1;
            count % 13 == 0 && is_accepted(with(damaged))
        })
    };
    let snapshot = |damaged: &[u8]| TrustedFiles { snapshot: Some(damaged.to_vec()), ..trusted.clone() };
    assert_eq!(sampled(trusted.snapshot.as_ref().unwrap(), &snapshot), 0);
    let targets = |damaged: &[u8]| TrustedFiles { targets: Some(damaged.to_vec()), ..trusted.clone() };
    assert_eq!(sampled(trusted.targets.as_ref().unwrap(), &targets), 0);
    let pins = |damaged: &[u8]| {
        let mut files = trusted.clone();
        files.delegated.insert("pins".into(), damaged.to_vec());
        files
    };
    assert_eq!(sampled(&trusted.delegated["pins"], &pins), 0);
}
