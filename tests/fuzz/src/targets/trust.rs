//! Metadata: bytes of a server that may be anybody's.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use image_format::Sha256;
use image_format::pin::{PIN_FORMAT, Pin, PinnedImage};
use signing::metadata::{Envelope, Root, Snapshot, Targets, Timestamp};
use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section, sign_envelope};
use signing::{Client, Fetch, SecretKey, TrustedFiles, UnixTime, json, refresh};

use super::documents::seeds::small;

const NOW: UnixTime = UnixTime(1_800_000_000);
/// Largest input looked at.
const LEN_MAX: usize = 64 << 10;

/// Strict JSON and its canonical form.
pub fn json(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes, LEN_MAX) else { return };
    assert!(bytes.len() <= LEN_MAX);
    let printed = json::to_json(&value).expect("what was read can be written");
    assert_eq!(json::parse(&printed, usize::MAX).unwrap(), value);
    assert_eq!(json::to_json(&value).unwrap(), printed);
    // Escapes only make texts longer: the canonical form is bounded by what came in.
    let canonical = value.canonical();
    assert!(canonical.len() <= 3 * bytes.len() + 2, "{} of {}", canonical.len(), bytes.len());
    if let Ok(again) = json::parse(&canonical, usize::MAX) {
        assert_eq!(again.canonical(), canonical);
    }
}

/// Each kind of role file.
pub fn metadata(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse("test", bytes, LEN_MAX as u64) else { return };
    let root = envelope.read::<Root>();
    let kinds = [
        root.is_ok(),
        envelope.read::<Timestamp>().is_ok(),
        envelope.read::<Snapshot>().is_ok(),
        envelope.read::<Targets>().is_ok(),
    ];
    assert!(kinds.iter().filter(|is| **is).count() <= 1, "one file is two kinds of role: {kinds:?}");
    if let Ok(root) = root {
        drop(envelope.verify(&root.keys, &root.roles.root));
    }
}

/// One step of a refresh. The first byte says which step the input stands for and whether it is signed with that role's own key
/// first: what somebody could do who has stolen one.
pub fn client(bytes: &[u8]) {
    let Some((mode, input)) = bytes.split_first() else { return };
    let fixture = fixture();
    let step = usize::from(mode & 3);
    let role = [RoleName::Root, RoleName::Timestamp, RoleName::Snapshot, RoleName::Targets][step];
    let signed;
    let input = if mode & 4 == 0 {
        input
    } else {
        let Ok(value) = json::parse(input, LEN_MAX) else { return };
        let Ok(file) = sign_envelope(&value, &fixture.keys.of(role).iter().collect::<Vec<_>>()) else {
            return;
        };
        signed = file;
        &signed
    };
    let mut client = Client::new(TrustedFiles::from_root(fixture.root()), NOW).unwrap();
    // The good files up to the step; a root that does not exist is step 0.
    for _ in 0..step {
        let wanted = client.next().unwrap().unwrap();
        client.feed(&wanted.name, fixture.get(&wanted.name)).unwrap();
    }
    let wanted = client.next().unwrap().unwrap();
    let before = client.trusted().clone();
    match client.feed(&wanted.name, Some(input)) {
        Err(_) => {
            let after = client.trusted();
            // An expired root is kept (5.3.8), as nothing else is.
            assert!(*after == before || step == 0, "a refusal changes nothing");
        }
        Ok(()) => {
            let roots = client.root().version;
            assert!(roots == 1 || (step == 0 && roots == 2));
        }
    }
    // Whatever that was, the good files are accepted afterwards, unless the root or a version has really moved.
    if *client.trusted() == before {
        let fetch =
            |wanted: &Fetch| Ok::<_, std::convert::Infallible>(fixture.get(&wanted.name).map(<[u8]>::to_vec));
        refresh(&mut client, fetch).unwrap();
        assert!(client.proof().is_some());
    }
}

fn set(repository: &mut Repository, section: Section, path: &str, bytes: &[u8]) {
    let digest = Sha256::of(bytes);
    repository.set_target(section, path, bytes.len() as u64, digest.as_bytes(), None).unwrap();
}

fn manifest() -> Vec<u8> {
    small("ha@1").to_bytes().unwrap()
}

fn pin(group: &str) -> Vec<u8> {
    let stable = PinnedImage { name: "ha@1".parse().unwrap(), manifest: Sha256::of(&manifest()) };
    Pin { format: PIN_FORMAT, group: group.parse().unwrap(), stable, disk: None }.to_bytes().unwrap()
}

/// A repository in memory.
pub struct Fixture {
    keys: RoleKeys,
    files: BTreeMap<String, Vec<u8>>,
    repository: Repository,
}

impl Fixture {
    fn new() -> Self {
        let mut keys = RoleKeys::default();
        for (number, role) in (1..).zip(RoleName::ALL) {
            keys.of_mut(role).push(SecretKey::from_seed(&[number; 32]).unwrap());
        }
        let mut repository = Repository::create(&keys, Lifetimes::default());
        set(&mut repository, Section::Releases, "images/ha@1.json", &manifest());
        set(&mut repository, Section::Pins, "pins/ha.json", &pin("ha"));
        let files = repository.write(&keys, NOW).unwrap();
        Self { keys, files, repository }
    }

    /// The first root.
    pub fn root(&self) -> &[u8] {
        &self.files["1.root.json"]
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// A proposal file that adds a pin.
    pub fn proposal(&self) -> Vec<u8> {
        let mut repository = self.repository.clone();
        set(&mut repository, Section::Pins, "pins/web.json", &pin("web"));
        let documents =
            [("images", "ha@1", manifest()), ("pins", "web", pin("web"))].map(|(kind, name, bytes)| {
                (format!("{kind}/{}.{name}.json", Sha256::of(&bytes)), String::from_utf8(bytes).unwrap())
            });
        let proposal = repository.propose(NOW).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let base: BTreeMap<&String, String> =
            self.files.iter().map(|(name, bytes)| (name, text(bytes))).collect();
        let files = proposal.files().unwrap();
        let roles: BTreeMap<&str, String> =
            files.iter().map(|(role, bytes)| (role.as_str(), text(bytes))).collect();
        let file = serde_json::json!({
            "bascule_proposal": 1, "made": NOW.to_string(), "base": base, "roles": roles, "documents": BTreeMap::from(documents),
        });
        serde_json::to_vec(&file).unwrap()
    }
}

/// The repository that all runs share.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(Fixture::new)
}

/// Valid inputs.
pub mod seeds {
    use super::{Envelope, fixture};

    /// Every kind of value, and what is refused.
    pub fn json() -> Vec<Vec<u8>> {
        [
            r#"{"a":[1,-2,true,false,null],"b":{"":"\u00e9\n\\\""},"z":9223372036854775807}"#,
            r#"{"a":1,"a":2}"#,
            "[[[[[[[[]]]]]]]]",
            r#""\ud83d\ude00""#,
            "1.5",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    }

    /// One of each role.
    pub fn metadata() -> Vec<Vec<u8>> {
        ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json", "1.releases.json"]
            .map(|name| fixture().get(name).unwrap().to_vec())
            .into()
    }

    /// The right file at each step, as it is and to be signed again.
    pub fn client() -> Vec<Vec<u8>> {
        let names = ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
        let mut seeds = Vec::new();
        for (step, name) in (0..).zip(names) {
            let file = fixture().get(name).unwrap();
            assert!(Envelope::parse("test", file, u64::MAX).is_ok());
            let whole: serde_json::Value = serde_json::from_slice(file).unwrap();
            let mut signed = whole["signed"].clone();
            if step == 0 {
                signed["version"] = 2.into();
            }
            seeds.push([&[step][..], file].concat());
            seeds.push([&[step | 4][..], signed.to_string().as_bytes()].concat());
        }
        seeds
    }
}
