//! The repository that is mutated: what `imgtool` writes, with one rotation of the root.

use std::collections::BTreeMap;

use signing::metadata::{MetaFile, file_name};
use signing::repo::{Lifetimes, RoleKeys, RoleName, Section, sign_envelope};
use signing::{SecretKey, UnixTime, Value, json, parse};

/// The time of every look.
pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A file that is mutated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The embedded root.
    FirstRoot,
    /// The next root, which replaces the key of the first.
    Root,
    /// Timestamp.
    Timestamp,
    /// Snapshot.
    Snapshot,
    /// Top-level targets, with the delegations.
    Targets,
    /// Delegated targets for `images/*`.
    Releases,
    /// Delegated targets for `pins/*`.
    Pins,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 7] = [
        Role::FirstRoot,
        Role::Root,
        Role::Timestamp,
        Role::Snapshot,
        Role::Targets,
        Role::Releases,
        Role::Pins,
    ];

    fn name(self) -> &'static str {
        match self {
            Role::FirstRoot | Role::Root => "root",
            Role::Timestamp => "timestamp",
            Role::Snapshot => "snapshot",
            Role::Targets => "targets",
            Role::Releases => "releases",
            Role::Pins => "pins",
        }
    }
}

/// A repository and the keys to forge it.
#[derive(Debug, Clone)]
pub struct Repository {
    files: Files,
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

/// The keys that sign a file; root 2 is signed by the old and the new one.
pub(super) fn signers(role: Role) -> Vec<SecretKey> {
    match role {
        Role::FirstRoot => vec![key(1)],
        Role::Root => vec![key(1), key(51)],
        Role::Targets => vec![key(2)],
        Role::Releases => vec![key(3)],
        Role::Pins => vec![key(4)],
        Role::Snapshot => vec![key(5)],
        Role::Timestamp => vec![key(6)],
    }
}

impl Repository {
    /// One image, one pin, one target of the top-level role, and two roots.
    pub fn new() -> Self {
        let mut keys = RoleKeys::default();
        for (seed, role) in (1..).zip(RoleName::ALL) {
            keys.of_mut(role).push(key(seed));
        }
        let mut repo = signing::repo::Repository::create(&keys, Lifetimes::default());
        let custom = Some(Value::from([("arch", "amd64".into())]));
        repo.set_target(Section::Releases, "images/ha@1.json", 10, &[1; 32], custom).unwrap();
        repo.set_target(Section::Pins, "pins/lab.json", 20, &[2; 32], None).unwrap();
        repo.set_target(Section::Targets, "floor", 0, &[3; 32], None).unwrap();
        let mut files = repo.write(&keys, NOW).unwrap();
        keys.of_mut(RoleName::Root).push(key(51));
        repo.set_signers(RoleName::Root, &[key(51).public()], 1).unwrap();
        files.extend(repo.write(&keys, NOW).unwrap());
        Self { files }
    }

    /// All files.
    pub fn files(self) -> Files {
        self.files
    }

    /// The version of a role's newest file.
    fn version(&self, role: Role) -> u64 {
        match role {
            Role::FirstRoot => 1,
            Role::Timestamp => 0,
            _ => {
                let is = |version: &u64| self.files.contains_key(&file_name(role.name(), Some(*version)));
                (1..4).rev().find(is).unwrap()
            }
        }
    }

    fn file_name(&self, role: Role) -> String {
        let version = self.version(role);
        file_name(role.name(), (version > 0).then_some(version))
    }

    pub(super) fn bytes(&self, role: Role) -> &[u8] {
        &self.files[&self.file_name(role)]
    }

    /// The `signed` part of a file.
    pub(super) fn content(&self, role: Role) -> Value {
        parse(self.bytes(role), 1 << 20).unwrap().get("signed").unwrap().clone()
    }

    /// Puts other bytes in the place of a file and lists them as the right ones, so that only their content can be refused.
    pub(super) fn put(&mut self, role: Role, bytes: Vec<u8>) {
        let (name, version) = (self.file_name(role), self.version(role));
        let lister = match role {
            Role::FirstRoot | Role::Root | Role::Timestamp => None,
            Role::Snapshot => Some(Role::Timestamp),
            Role::Targets | Role::Releases | Role::Pins => Some(Role::Snapshot),
        };
        let listed = json::to_value(&MetaFile::of(version, &bytes)).unwrap();
        self.files.insert(name, bytes);
        if let Some(lister) = lister {
            let mut content = self.content(lister);
            *field(&mut content, &["meta", &format!("{}.json", role.name())]) = listed;
            self.put_signed(lister, &content);
        }
    }

    /// As [`Repository::put`], with content that the owner of the file has signed.
    pub(super) fn put_signed(&mut self, role: Role, content: &Value) {
        self.put(role, signed(content, &signers(role)));
    }

    /// As [`Repository::put`], but nothing lists the new bytes.
    pub(super) fn put_unlisted(&mut self, role: Role, bytes: Vec<u8>) {
        let name = self.file_name(role);
        self.files.insert(name, bytes);
    }
}

/// The file of `content`.
pub(super) fn signed(content: &Value, keys: &[SecretKey]) -> Vec<u8> {
    sign_envelope(content, &keys.iter().collect::<Vec<_>>()).unwrap()
}

/// The field at `path`.
pub(super) fn field<'v>(mut value: &'v mut Value, path: &[&str]) -> &'v mut Value {
    for key in path {
        let Value::Object(members) = value else { panic!("{key} is not in an object") };
        value = members.entry((*key).to_owned()).or_insert(Value::Null);
    }
    value
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}
