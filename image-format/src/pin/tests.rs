use proptest::prelude::*;

use super::{ASSIGNMENTS_MAX, Assignments, DiskConsent, PIN_FORMAT, PIN_MAX, Pin, PinnedImage};
use crate::Sha256;
use crate::document::DocumentError;

fn pin() -> Pin {
    Pin {
        format: PIN_FORMAT,
        group: "web".parse().unwrap(),
        stable: PinnedImage { name: "ha@1".parse().unwrap(), manifest: Sha256::of(b"manifest") },
        disk: Some(DiskConsent { disk: "vda".into(), wipe: false }),
    }
}

fn refused(text: &str) -> String {
    let error = Pin::parse(text.as_bytes()).unwrap_err();
    match &error {
        DocumentError::Json { source, .. } => format!("{error}: {source}"),
        DocumentError::Field { .. } => error.to_string(),
    }
}

#[test]
fn pins_round_trip() {
    for pin in [pin(), Pin { disk: None, ..pin() }] {
        assert_eq!(Pin::parse(&pin.to_bytes().unwrap()).unwrap(), pin);
    }
    let text = String::from_utf8(pin().to_bytes().unwrap()).unwrap();
    let hash = Sha256::of(b"manifest");
    let expected = format!(
        r#"{{"disk":{{"disk":"vda","wipe":false}},"format":1,"group":"web","stable":{{"manifest":"{hash}","name":"ha@1"}}}}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn bad_pins_are_refused_by_name() {
    let good = String::from_utf8(pin().to_bytes().unwrap()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        refused(&good.replace(from, to))
    };
    assert_eq!(with(r#""format":1"#, r#""format":2"#), "pin: format: expected 1, found 2");
    assert!(with(r#""format":1"#, r#""format":1,"candidate":{}"#).contains("unknown field `candidate`"));
    assert!(with(r#""format":1"#, r#""format":1,"format":1"#).contains("key \"format\" twice"));
    assert!(with(r#""group":"web""#, r#""group":"../web""#).contains("group: expected 1 to 64"));
    assert!(with("ha@1", "ha").contains("expected ROLE@VERSION"));
    assert!(with("\"vda\"", "\"\"").contains("disk.disk: expected 1 to 128 bytes"));
    assert!(with("\"vda\"", "\"v\\na\"").contains("without control characters"));
    assert!(refused(&(good + &" ".repeat(PIN_MAX as usize))).contains("at most 65536 are allowed"));
}

#[test]
fn assignments_round_trip_and_the_default_fills_in() {
    let mut assignments = Assignments::empty();
    let (listed, other) = ("52-54-00-12-34-56".parse().unwrap(), "52-54-00-00-00-00".parse().unwrap());
    assignments.nodes.insert("52-54-00-12-34-56".parse().unwrap(), "web".parse().unwrap());
    assert_eq!(assignments.group_of(&other), None);
    assignments.default = Some("spare".parse().unwrap());
    let read = Assignments::parse(&assignments.to_bytes().unwrap()).unwrap();
    assert_eq!(read, assignments);
    assert_eq!(read.group_of(&listed).unwrap().as_str(), "web");
    assert_eq!(read.group_of(&other).unwrap().as_str(), "spare");
}

#[test]
fn bad_assignments_are_refused() {
    let twice = br#"{"default":null,"format":1,"nodes":{"a":"x","a":"y"}}"#;
    let format = br#"{"default":null,"format":2,"nodes":{}}"#;
    assert!(matches!(Assignments::parse(twice), Err(DocumentError::Json { .. })));
    assert!(matches!(Assignments::parse(format), Err(DocumentError::Field { .. })));
    let mut many = Assignments::empty();
    let node = |i: u64| format!("{i:064}").parse().unwrap();
    many.nodes = (0..ASSIGNMENTS_MAX / 64).map(|i| (node(i), "web".parse().unwrap())).collect();
    assert!(matches!(many.to_bytes(), Err(DocumentError::Json { .. })));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in r#"[{}\[\]":,a-z0-9@]{0,80}"#) {
        let _ = Pin::parse(text.as_bytes());
        let _ = Assignments::parse(text.as_bytes());
    }
}
