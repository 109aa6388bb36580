//! What the server reads from nodes, from firmware, and from whoever else can reach it.

use fleet_protocol::identity::{ENROL_MAX, Enrol, Kind, is_sealed, open};
use fleet_protocol::join::JoinToken;
use fleet_protocol::report::Report;
use image_format::{NodeId, ObjectId};
use server::admin::pack::{OBJECT_MAX, Pack};
use server::boot::identity;
use server::delivery::{path, ranges};
use server::fleet::record::{parse_report, parse_signed_report};
use server::http::strict;

/// A report, bare or signed, or a request to enrol. If the input begins with `!`, the rest is signed with a node's key first.
pub fn report(bytes: &[u8]) {
    let node: NodeId = seeds::NODE.parse().unwrap();
    let sealed;
    let body = match bytes.split_first() {
        Some((b'!', payload)) => {
            sealed = seeds::key().seal(Kind::Report, payload);
            assert_eq!(open(Kind::Report, &sealed).unwrap().payload, payload);
            assert!(open(Kind::Enrol, &sealed).is_err());
            sealed.as_slice()
        }
        _ => bytes,
    };
    if is_sealed(body) {
        for kind in Kind::ALL {
            let Ok(opened) = open(kind, body) else { continue };
            if let Ok(signed) = parse_signed_report(opened.payload, &node) {
                check_report(&signed.report);
            }
            if body.len() as u64 <= ENROL_MAX
                && let Ok(asked) = serde_json::from_slice::<Enrol>(opened.payload)
            {
                let again = serde_json::to_vec(&asked).unwrap();
                assert_eq!(serde_json::from_slice::<Enrol>(&again).unwrap(), asked);
            }
        }
    } else if let Ok(found) = parse_report(body, &node) {
        check_report(&found);
    }
}

fn check_report(report: &Report) {
    assert!(report.slots.len() <= 2);
    let again = serde_json::to_vec(report).unwrap();
    assert_eq!(&serde_json::from_slice::<Report>(&again).unwrap(), report);
}

/// A join token.
pub fn join_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.to_text(), text);
        // A group may be named like the secret.
        let secret = &text[28..60];
        let shown = format!("{token:?}");
        assert!(!shown.contains(secret) || text[60..].contains(secret), "the secret is shown: {shown}");
    }
}

/// The pack stream of an upload.
pub fn pack(bytes: &[u8]) {
    let mut pack = Pack::new(bytes);
    let mut read = Vec::new();
    // Bounded: every object takes 36 bytes at least.
    loop {
        match pack.next_object() {
            Ok(Some((id, object))) => {
                assert!(object.len() <= OBJECT_MAX as usize);
                read.extend_from_slice(id.as_bytes());
                read.extend_from_slice(&(object.len() as u32).to_le_bytes());
                read.extend_from_slice(&object);
                assert!(bytes.starts_with(&read));
            }
            Ok(None) => {
                assert_eq!(read, bytes);
                return;
            }
            Err(_) => return,
        }
    }
}

/// The parts of a request's address: path, ranges of a batch, query of a boot script.
pub fn request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(found) = ranges::parse(text, 1000) {
        let mut next = 0;
        for range in &found {
            assert!(
                *range.start() >= next && range.end() >= range.start() && *range.end() < 1000,
                "{found:?}"
            );
            next = range.end() + 1;
        }
    }
    for name in [path::is_metadata_name(text), path::is_target_name(text), text.parse::<ObjectId>().is_ok()] {
        // A name becomes the last part of a file's path.
        assert!(!name || !(text.contains(['/', '\\', '\0']) || text.starts_with('.')), "{text:?}");
    }
    if let Ok(asked) = identity::parse(Some(text)) {
        if let Some(token) = &asked.join {
            assert_eq!(token.to_text().parse::<JoinToken>().as_ref(), Ok(token));
        }
        if let Some(found) = asked.identity {
            assert!(found.shown.len() <= identity::KEPT.len());
            assert!(
                found.shown.values().all(|value| value.len() <= 128 && !value.chars().any(char::is_control))
            );
            assert_eq!(found.shown["mac"], found.node.to_string());
        }
    }
    if strict::spelling(text).is_ok() {
        assert!(!text.contains('%') && !text.split('/').any(|part| part == ".."));
    }
}

/// Valid inputs.
pub mod seeds {
    use fleet_protocol::identity::{Enrol, Kind, NodeKey, SignedReport};
    use fleet_protocol::join::JoinToken;
    use fleet_protocol::report::{Event, Health, Quarantined, Report, SlotReport, SlotStateName};
    use image_format::{ObjectId, Sha256, Slot};

    /// The node whose reports they are.
    pub(super) const NODE: &str = "52-54-00-12-34-56";
    const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";

    pub(super) fn key() -> NodeKey {
        NodeKey::from_seed(&[7; 32]).unwrap()
    }

    fn plain() -> Report {
        let image = || Some("ha@1".parse().unwrap());
        Report {
            node: NODE.parse().unwrap(),
            group: Some("ha".parse().unwrap()),
            event: Event::Confirmed,
            message: "all checks passed".into(),
            slot: Some(Slot::A),
            image: image(),
            manifest: Some(Sha256::of(b"x")),
            attempt: Some(1),
            health: Health::Healthy,
            slots: vec![SlotReport { slot: Slot::A, state: SlotStateName::Confirmed, image: image() }],
            quarantine: vec![Quarantined {
                image: "ha@0".parse().unwrap(),
                manifest: Sha256::of(b"y"),
                reason: "never came up".into(),
            }],
            fetched_bytes: Some(1 << 20),
            kernel: "6.1.0".into(),
            agent: "0.1.0".into(),
        }
    }

    /// Bare, signed, to be signed; a request to enrol.
    pub fn report() -> Vec<Vec<u8>> {
        let bare = serde_json::to_vec(&plain()).unwrap();
        let signed = SignedReport { number: 3, boot: BOOT.parse().unwrap(), report: plain() };
        let payload = serde_json::to_vec(&signed).unwrap();
        let enrol = Enrol {
            node: NODE.parse().unwrap(),
            number: 1,
            boot: BOOT.parse().unwrap(),
            root: Sha256::of(b"root"),
            join: None,
            reason: "first boot".into(),
        };
        let enrol = key().seal(Kind::Enrol, &serde_json::to_vec(&enrol).unwrap());
        vec![bare, key().seal(Kind::Report, &payload), [b"!", payload.as_slice()].concat(), enrol]
    }

    /// With and without a group.
    pub fn join_token() -> Vec<Vec<u8>> {
        let token = |group: Option<&str>| {
            JoinToken::new([1; 6], [2; 16], Sha256::of(b"root"), group.map(|group| group.parse().unwrap()))
                .to_text()
        };
        vec![token(None).into_bytes(), token(Some("ha.x")).into_bytes()]
    }

    /// None, one and two objects.
    pub fn pack() -> Vec<Vec<u8>> {
        let object = |bytes: &[u8]| {
            [ObjectId::of(bytes).as_bytes(), &(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
        };
        vec![Vec::new(), object(b"one"), [object(b""), object(b"two")].concat()]
    }

    /// Ranges, names, queries.
    pub fn request() -> Vec<Vec<u8>> {
        let id = ObjectId::of(b"x");
        [
            "0-5,9,11-999".to_owned(),
            "12.releases.json".to_owned(),
            "timestamp.json".to_owned(),
            format!("{id}.ha@1.json"),
            format!("{id}.@assignments.json"),
            id.to_string(),
            "mac=52-54-00-12-34-56&uuid=1b4e28ba&serial=a%20b&arch=x86_64".to_owned(),
            format!(
                "mac=52:54:00:12:34:56&join={}",
                JoinToken::new([1; 6], [2; 16], Sha256::of(b"root"), None).to_text()
            ),
            "/objects/../../etc/passwd".to_owned(),
        ]
        .map(String::into_bytes)
        .into()
    }
}
