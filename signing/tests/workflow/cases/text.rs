//! The bytes of a file: what is no JSON, or JSON that two readers could understand differently.

use signing::{JsonError, TrustError};

use super::{Case, case_like, honest};
use crate::site::Site;

pub(super) const CASES: &[Case] = &[
    case_like("a version of 1.0", |site| version(site, "1.0"), not_an_integer),
    case_like("a version of 1e3", |site| version(site, "1e3"), not_an_integer),
    case_like("a version of 2^64", |site| version(site, "18446744073709551616"), not_an_integer),
    case_like("a version of -0", |site| version(site, "-0"), not_an_integer),
    case_like("a version of -1", |site| signed_version(site, -1), shape),
    case_like("a version of 0", |site| signed_version(site, 0), shape),
    case_like("a length of -1", |site| signed_length(site, -1), shape),
    case_like(
        "the same key twice",
        |site| version(site, "3, \"version\": 4"),
        |error| matches!(error, TrustError::Json { source: JsonError::DuplicateKey(key), .. } if key == "version"),
    ),
    case_like("nested 5,000 deep", |site| bytes(site, |_| nested(5_000)), too_deep),
    case_like("nested 33 deep", |site| bytes(site, |_| nested(33)), too_deep),
    case_like("a byte order mark", |site| bytes(site, |text| format!("\u{feff}{text}").into_bytes()), syntax),
    case_like(
        "UTF-16",
        |site| bytes(site, |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        syntax,
    ),
    case_like(
        "a lone surrogate",
        |site| bytes(site, |text| text.replacen("timestamp", "\\ud800", 1).into_bytes()),
        syntax,
    ),
    case_like("bytes behind the end", |site| bytes(site, |text| format!("{text}x").into_bytes()), syntax),
    case_like("two documents", |site| bytes(site, |text| text.repeat(2).into_bytes()), syntax),
    case_like(
        "half a document",
        |site| bytes(site, |text| text.as_bytes()[..text.len() / 2].to_vec()),
        syntax,
    ),
    case_like("nothing", |site| bytes(site, |_| Vec::new()), syntax),
    case_like(
        "an array",
        |site| bytes(site, |_| b"[]".to_vec()),
        |error| matches!(error, TrustError::Malformed { .. }),
    ),
    case_like(
        "100 MB",
        |site| bytes(site, |_| vec![b'['; 100_000_000]),
        |error| matches!(error, TrustError::EndlessData { found: 100_000_000, .. }),
    ),
];

/// Replaces the timestamp's bytes.
fn bytes(site: &mut Site, change: impl FnOnce(&str) -> Vec<u8>) {
    site.bump("timestamp");
    site.put("timestamp");
    let text = String::from_utf8(site.files["timestamp.json"].clone()).unwrap();
    site.files.insert("timestamp.json".into(), change(&text));
}

fn version(site: &mut Site, number: &str) {
    bytes(site, |text| {
        assert!(text.contains("\"version\": 3"), "{text}");
        // The last one is the timestamp's own.
        let at = text.rfind("\"version\": 3").unwrap();
        format!("{}\"version\": {number}{}", &text[..at], &text[at + "\"version\": 3".len()..]).into_bytes()
    });
}

fn signed_version(site: &mut Site, version: i64) {
    *site.field("timestamp", &["version"]) = version.into();
    site.put("timestamp");
}

fn signed_length(site: &mut Site, length: i64) {
    *site.field("timestamp", &["meta", "snapshot.json", "length"]) = length.into();
    site.bump("timestamp");
    site.put("timestamp");
}

fn nested(depth: usize) -> Vec<u8> {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

fn not_an_integer(error: &TrustError) -> bool {
    matches!(error, TrustError::Json { source: JsonError::NotAnInteger(_), .. })
}

fn shape(error: &TrustError) -> bool {
    matches!(error, TrustError::Json { source: JsonError::Shape(_), .. })
}

fn too_deep(error: &TrustError) -> bool {
    matches!(error, TrustError::Json { source: JsonError::TooDeep(32), .. })
}

fn syntax(error: &TrustError) -> bool {
    matches!(error, TrustError::Json { source: JsonError::Syntax(_), .. })
}

/// Other bytes, same value: accepted, and kept as received.
#[test]
fn another_spelling_of_the_same_content_is_the_same_content() {
    let mut site = honest();
    let before = site.synced();
    bytes(&mut site, |text| {
        let value = signing::parse(text.as_bytes(), 1 << 20).unwrap();
        let compact = serde_json::to_string(&value).unwrap();
        format!("\r\n\t{} ", compact.replacen("timestamp", "\\u0074imestamp", 1)).into_bytes()
    });
    let mut client = site.client_with(&before);
    site.follow(&mut client, &super::PATHS).unwrap();
    assert_eq!(client.trusted().timestamp.as_ref(), site.files.get("timestamp.json"));
}
