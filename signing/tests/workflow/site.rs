//! A repository server in memory whose every field can be forged and signed.

use std::collections::BTreeMap;
use std::convert::Infallible;

use signing::metadata::{MetaFile, file_name};
use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section, sign_envelope};
use signing::{
    Client, Fetch, RefreshError, SecretKey, TargetInfo, TrustError, TrustedFiles, UnixTime, Value,
    find_target, parse, refresh,
};

/// The time of every test, long before any expiry of [`Site::new`].
pub(crate) const NOW: UnixTime = UnixTime(1_900_000_000);

pub(crate) struct Site {
    pub(crate) keys: RoleKeys,
    /// What the server has.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The `signed` part of each role's newest file.
    pub(crate) content: BTreeMap<String, Value>,
    pub(crate) first_root: Vec<u8>,
    /// What was asked for, in order.
    pub(crate) requests: Vec<String>,
}

/// A key that depends only on `seed`.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

/// One key for each role.
pub(crate) fn role_keys() -> RoleKeys {
    let mut keys = RoleKeys::default();
    for (seed, role) in (1..).zip(RoleName::ALL) {
        keys.of_mut(role).push(key(seed));
    }
    keys
}

/// One image, one pin and a floor, not yet written.
pub(crate) fn repository(keys: &RoleKeys) -> Repository {
    let mut repo = Repository::create(keys, Lifetimes::default());
    let custom = Some(Value::from([("arch", "amd64".into())]));
    repo.set_target(Section::Releases, "images/ha@1.json", 10, &[1; 32], custom).unwrap();
    repo.set_target(Section::Pins, "pins/lab.json", 20, &[2; 32], None).unwrap();
    let floors = Value::from([("bascule", Value::from([("floors", Value::from([("ha", 3.into())]))]))]);
    repo.set_target(Section::Targets, "floor", 0, &[3; 32], Some(floors)).unwrap();
    repo
}

impl Site {
    pub(crate) fn new() -> Self {
        let keys = role_keys();
        let files = repository(&keys).write(&keys, NOW).unwrap();
        let mut site = Self {
            keys,
            content: BTreeMap::new(),
            first_root: files["1.root.json"].clone(),
            requests: Vec::new(),
            files,
        };
        for role in RoleName::ALL {
            let version = (role != RoleName::Timestamp).then_some(1);
            let file = parse(&site.files[&file_name(role.as_str(), version)], 1 << 20).unwrap();
            site.content.insert(role.as_str().into(), file.get("signed").unwrap().clone());
        }
        site
    }

    /// The field at `path` below the role's content, made if it is not there.
    pub(crate) fn field(&mut self, role: &str, path: &[&str]) -> &mut Value {
        Self::at(self.content.get_mut(role).unwrap(), path)
    }

    /// The field at `path` below any value.
    pub(crate) fn at<'v>(mut value: &'v mut Value, path: &[&str]) -> &'v mut Value {
        for key in path {
            let Value::Object(members) = value else { panic!("{key} is not in an object") };
            value = members.entry((*key).to_owned()).or_insert(Value::from([]));
        }
        value
    }

    pub(crate) fn version(&mut self, role: &str) -> i64 {
        self.field(role, &["version"]).as_i64().unwrap()
    }

    pub(crate) fn bump(&mut self, role: &str) {
        let next = self.version(role) + 1;
        *self.field(role, &["version"]) = next.into();
    }

    /// Signs the role's content with the keys of `role` and puts it on the server.
    pub(crate) fn put(&mut self, role: &str) {
        let name = RoleName::ALL.into_iter().find(|name| name.as_str() == role).unwrap();
        let keys: Vec<SecretKey> = self.keys.of(name).iter().map(copy).collect();
        self.put_signed(role, &keys.iter().collect::<Vec<_>>());
    }

    pub(crate) fn put_signed(&mut self, role: &str, keys: &[&SecretKey]) {
        let version = self.version(role).unsigned_abs();
        let file = sign_envelope(&self.content[role], keys).unwrap();
        self.files.insert(file_name(role, (role != "timestamp").then_some(version)), file);
    }

    /// Lists what the server has: targets roles in a new snapshot, that in a new timestamp.
    pub(crate) fn relist(&mut self) {
        let roles: Vec<String> = self.content.keys().cloned().collect();
        for role in roles {
            if !["root", "snapshot", "timestamp"].contains(&role.as_str()) {
                let listed = self.listing(&role);
                *self.field("snapshot", &["meta", &format!("{role}.json")]) = listed;
            }
        }
        self.bump("snapshot");
        self.put("snapshot");
        self.list_snapshot();
    }

    /// Lists the newest snapshot in a new timestamp.
    pub(crate) fn list_snapshot(&mut self) {
        *self.field("timestamp", &["meta", "snapshot.json"]) = self.listing("snapshot");
        self.bump("timestamp");
        self.put("timestamp");
    }

    fn listing(&mut self, role: &str) -> Value {
        let version = self.version(role).unsigned_abs();
        let bytes = &self.files[&file_name(role, Some(version))];
        signing::json::to_value(&MetaFile::of(version, bytes)).unwrap()
    }

    /// A client that knows only the first root.
    pub(crate) fn client(&self) -> Client {
        Client::new(TrustedFiles::from_root(self.first_root.clone()), NOW).unwrap()
    }

    /// A client that starts from what another one trusted.
    pub(crate) fn client_with(&self, trusted: &TrustedFiles) -> Client {
        Client::new(trusted.clone(), NOW).unwrap()
    }

    pub(crate) fn refresh(&mut self, client: &mut Client) -> Result<(), TrustError> {
        trust(refresh(client, |wanted| self.answer(wanted)))
    }

    pub(crate) fn find(&mut self, client: &mut Client, path: &str) -> Result<Option<TargetInfo>, TrustError> {
        trust(find_target(client, path, |wanted| self.answer(wanted)))
    }

    /// Refreshes, and looks up targets that are there.
    pub(crate) fn follow(&mut self, client: &mut Client, paths: &[&str]) -> Result<(), TrustError> {
        self.refresh(client)?;
        for path in paths {
            assert!(self.find(client, path)?.is_some(), "{path} is there");
        }
        Ok(())
    }

    /// Refreshes from `trusted`, expects a refusal that changes nothing, and returns it.
    pub(crate) fn refused(&mut self, trusted: &TrustedFiles) -> TrustError {
        let mut client = self.client_with(trusted);
        let error = self.refresh(&mut client).unwrap_err();
        assert_eq!(client.trusted(), trusted, "the trusted state changed on {error}");
        error
    }

    /// Everything that a client trusts after a refresh and both look-ups.
    pub(crate) fn synced(&mut self) -> TrustedFiles {
        let mut client = self.client();
        self.refresh(&mut client).unwrap();
        assert!(self.find(&mut client, "images/ha@1.json").unwrap().is_some());
        assert!(self.find(&mut client, "pins/lab.json").unwrap().is_some());
        self.requests.clear();
        client.trusted().clone()
    }

    fn answer(&mut self, wanted: &Fetch) -> Result<Option<Vec<u8>>, Infallible> {
        self.requests.push(wanted.name.clone());
        Ok(self.files.get(&wanted.name).cloned())
    }
}

pub(crate) fn copy(key: &SecretKey) -> SecretKey {
    SecretKey::from_pem(&key.to_pem().unwrap()).unwrap()
}

/// The error's kind, for refusals whose text carries many fields.
fn trust<T>(result: Result<T, RefreshError<Infallible>>) -> Result<T, TrustError> {
    result.map_err(|error| match error {
        RefreshError::Trust(error) => error,
        RefreshError::Fetch { source, .. } => match source {},
    })
}
