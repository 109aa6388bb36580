use proptest::prelude::*;

use super::{FROM_MAX, PATCHES_FORMAT, PATCHES_MAX, Patch, Patches, Stream, patches_path};
use crate::document::DocumentError;
use crate::manifest::{ObjectRef, ROOT_MAX};
use crate::patch::TABLE_MAX;
use crate::{ObjectId, Sha256};

fn object(what: &str, size: u64) -> ObjectRef {
    ObjectRef { id: ObjectId::of(what.as_bytes()), size }
}

fn patch(from: &str) -> Patch {
    Patch {
        from: Sha256::of(from.as_bytes()),
        name: from.parse().unwrap(),
        table: object(from, 100),
        bytes: 7,
        index: object("index", 50),
    }
}

fn patches() -> Patches {
    Patches {
        format: PATCHES_FORMAT,
        image: "ha@2".parse().unwrap(),
        manifest: Sha256::of(b"ha@2"),
        stream: Some(Stream { table: object("stream", 200), bytes: 99 }),
        patches: vec![patch("ha@1")],
    }
}

fn refused(patches: &Patches) -> String {
    patches.to_bytes().unwrap_err().to_string()
}

#[test]
fn documents_round_trip_in_one_spelling() {
    let empty = Patches::empty("ha@2".parse().unwrap(), Sha256::of(b"ha@2"));
    for document in [patches(), empty, Patches { stream: None, ..patches() }] {
        assert_eq!(Patches::parse(&document.to_bytes().unwrap()).unwrap(), document);
    }
    let (from, to) = (Sha256::of(b"ha@1"), Sha256::of(b"ha@2"));
    let [table, index, stream] = ["ha@1", "index", "stream"].map(|what| ObjectId::of(what.as_bytes()));
    let expected = format!(
        r#"{{"format":1,"image":"ha@2","manifest":"{to}","patches":[{{"bytes":7,"from":"{from}","index":{{"id":"{index}","size":50}},"name":"ha@1","table":{{"id":"{table}","size":100}}}}],"stream":{{"bytes":99,"table":{{"id":"{stream}","size":200}}}}}}"#
    );
    assert_eq!(String::from_utf8(patches().to_bytes().unwrap()).unwrap(), expected);
    assert_eq!(patches_path(&"ha@2".parse().unwrap()), "images/@patches.ha@2.json");
}

#[test]
fn what_is_named_can_be_asked_for() {
    let document = patches();
    assert_eq!(document.from(&Sha256::of(b"ha@1")), document.patches.first());
    assert_eq!(document.from(&Sha256::of(b"ha@2")), None);
    let names: Vec<_> = document.objects().map(|(what, object)| (what, object.size)).collect();
    assert_eq!(names, [("segment table", 200), ("segment table", 100), ("index patch", 50)]);
    let bytes: Vec<_> = document.tables().map(|(_, bytes)| bytes).collect();
    assert_eq!(bytes, [99, 7]);
}

#[test]
fn bad_values_are_refused_by_name() {
    let with = |change: fn(&mut Patches)| {
        let mut document = patches();
        change(&mut document);
        refused(&document)
    };
    assert_eq!(with(|p| p.format = 2), "patches: format: expected 1, found 2");
    assert!(
        with(|p| p.patches.push(patch("ha@1"))).starts_with("patches: patches[1].from: expected another")
    );
    assert!(with(|p| p.patches.push(patch("ha@2"))).contains("patches[1].from"));
    assert!(with(|p| p.patches[0].index.size = 0).contains("patches[0].index.size: expected 1 to"));
    assert!(with(|p| p.patches[0].table.size = TABLE_MAX + 1).contains("patches[0].table.size"));
    assert!(with(|p| p.patches[0].bytes = ROOT_MAX + 1).contains("patches[0].bytes"));
    assert!(
        with(|p| p.stream = Some(Stream { table: object("", 0), bytes: 1 })).contains("stream.table.size")
    );
    let all = |number: usize| (0..number).map(|n| patch(&format!("ha@{}", n + 10))).collect();
    let many = Patches { patches: all(FROM_MAX + 1), ..patches() };
    assert_eq!(refused(&many), "patches: patches: expected 0 to 64, found 65");
    // The longest names and the largest numbers fit.
    let name = format!("{}@{}", "r".repeat(64), "v".repeat(64));
    let mut most = Patches { patches: all(FROM_MAX), image: name.parse().unwrap(), ..patches() };
    for patch in &mut most.patches {
        (patch.name, patch.bytes) = (name.parse().unwrap(), ROOT_MAX);
    }
    assert!(most.to_bytes().unwrap().len() as u64 <= PATCHES_MAX);
}

#[test]
fn other_json_is_refused() {
    let good = String::from_utf8(patches().to_bytes().unwrap()).unwrap();
    for (from, to) in [
        (r#""format":1"#, r#""format":1,"format":1"#),
        (r#""format":1"#, r#""format":1,"more":1"#),
        (r#""bytes":7"#, r#""bytes":-7"#),
        (r#""bytes":7"#, r#""bytes":7.0"#),
        ("\"ha@1\"", "\"../ha@1\""),
        (r#""patches":["#, r#""patches":[null,"#),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Patches::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(matches!(error, DocumentError::Json { .. }), "{to}: {error}");
    }
    let long = good + &" ".repeat(PATCHES_MAX as usize);
    assert!(matches!(Patches::parse(long.as_bytes()), Err(DocumentError::Json { .. })));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in r#"[{}\[\]":,a-z0-9@]{0,80}"#) {
        let _ = Patches::parse(text.as_bytes());
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_back_the_same(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = patches().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(document) = Patches::parse(&bytes) {
            prop_assert_eq!(Patches::parse(&document.to_bytes().unwrap()).unwrap(), document);
        }
    }
}
