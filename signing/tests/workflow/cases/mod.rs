//! What an attacker with a network, a mirror or some of the keys can try, as one table.
//!
//! Each case starts from a client that has followed an honest repository, lets the server lie, and says which error the client must
//! give, and which files may have moved by then (everything else is byte for byte as before). Then the repository is honest
//! again, and the same client must get on from what it has.

mod content;
mod roots;
mod signatures;
mod text;
mod times;

use signing::{TrustError, TrustedFiles};

use crate::site::Site;

/// Both targets that every client of the table looks up.
const PATHS: [&str; 2] = ["images/ha@1.json", "pins/lab.json"];

/// One attack.
struct Case {
    name: &'static str,
    /// Turns the honest server into a lying one.
    attack: fn(&mut Site),
    /// What the client must say.
    expected: Expected,
    /// Files that were verified before the lie was met, and are kept; or that a new root made worthless, and are gone.
    moved: &'static [&'static str],
    /// What the honest owner publishes then.
    repair: fn(&mut Site),
}

/// The error, or a pattern where its text depends on keys or parsers.
enum Expected {
    Is(fn() -> TrustError),
    Matches(fn(&TrustError) -> bool),
}

/// A case that moves nothing, and after which a new honest publication must be accepted.
const fn case(name: &'static str, attack: fn(&mut Site), expected: fn() -> TrustError) -> Case {
    Case { name, attack, expected: Expected::Is(expected), moved: &[], repair: republish }
}

/// The same, with a pattern.
const fn case_like(name: &'static str, attack: fn(&mut Site), expected: fn(&TrustError) -> bool) -> Case {
    Case { name, attack, expected: Expected::Matches(expected), moved: &[], repair: republish }
}

impl Case {
    const fn moving(self, moved: &'static [&'static str]) -> Self {
        Self { moved, ..self }
    }

    const fn repaired_by(self, repair: fn(&mut Site)) -> Self {
        Self { repair, ..self }
    }

    fn run(&self) {
        let mut site = honest();
        let before = site.synced();
        (self.attack)(&mut site);

        let mut client = site.client_with(&before);
        let error = site.follow(&mut client, &PATHS).expect_err(self.name);
        match self.expected {
            Expected::Is(expected) => assert_eq!(error, expected(), "{}", self.name),
            Expected::Matches(fits) => assert!(fits(&error), "{}: {error:?}", self.name),
        }
        let after = client.trusted().clone();
        let same = without(after.clone(), self.moved) == without(before.clone(), self.moved);
        assert!(same, "{}: something else moved than {:?}", self.name, self.moved);
        for file in self.moved {
            assert!(get(&after, file) != get(&before, file), "{}: {file} was to move", self.name);
        }

        let mut site = honest();
        (self.repair)(&mut site);
        let mut client = site.client_with(&after);
        let next = site.follow(&mut client, &PATHS);
        assert_eq!(next, Ok(()), "{}: the next correct attempt", self.name);
        let newest = client.trusted().timestamp.as_ref() == site.files.get("timestamp.json");
        assert!(newest, "{}: the newest timestamp is trusted", self.name);
    }
}

/// The repository before every attack: version 2 of everything but the root.
fn honest() -> Site {
    let mut site = Site::new();
    for role in ["targets", "releases", "pins"] {
        site.bump(role);
        site.put(role);
    }
    site.relist();
    site
}

/// The honest owner's next publication, above all versions that the cases use.
fn republish(site: &mut Site) {
    for role in ["targets", "releases", "pins"] {
        *site.field(role, &["version"]) = 20.into();
        site.put(role);
    }
    *site.field("snapshot", &["version"]) = 20.into();
    *site.field("timestamp", &["version"]) = 20.into();
    site.relist();
}

fn get<'f>(files: &'f TrustedFiles, name: &str) -> Option<&'f Vec<u8>> {
    match name {
        "root" => Some(&files.root),
        "timestamp" => files.timestamp.as_ref(),
        "snapshot" => files.snapshot.as_ref(),
        "targets" => files.targets.as_ref(),
        role => files.delegated.get(role),
    }
}

fn without(mut files: TrustedFiles, names: &[&str]) -> TrustedFiles {
    for name in names {
        match *name {
            "root" => files.root.clear(),
            "timestamp" => files.timestamp = None,
            "snapshot" => files.snapshot = None,
            "targets" => files.targets = None,
            role => drop(files.delegated.remove(role)),
        }
    }
    files
}

#[test]
fn every_attack_is_refused_by_name_and_leaves_a_way_on() {
    let tables = [roots::CASES, times::CASES, content::CASES, signatures::CASES, text::CASES];
    let mut names = std::collections::BTreeSet::new();
    for case in tables.into_iter().flatten() {
        assert!(names.insert(case.name), "two cases are called {:?}", case.name);
        case.run();
    }
}
