//! What the paths of the delivery listener name. Pure, and before any file is touched.
//!
//! Nothing is decoded or normalised: a name is spelled in the one way we spell it, or it does not exist.

use image_format::ObjectId;

use crate::http::{Error, Name};

/// Longest metadata or target file name, in bytes.
const NAME_MAX: usize = 200;

/// A metadata file, by its name in `tuf/metadata/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataName(pub String);

/// A target file, by its path below `tuf/targets/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName(pub String);

/// Many stored objects of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The index or segment table.
    pub list: ObjectId,
    /// The ranges; not parsed yet.
    pub ranges: String,
}

impl Name for ObjectId {
    fn parse(text: &str) -> Result<Self, Error> {
        text.parse().map_err(|_| unknown("an object is named by 64 lower-case hex digits"))
    }
}

impl Name for Batch {
    fn parse(text: &str) -> Result<Self, Error> {
        let (list, ranges) = text.split_once('/').ok_or_else(|| unknown("a batch is LIST/RANGES"))?;
        let list = list.parse().map_err(|_| unknown("a list is named by 64 lower-case hex digits"))?;
        Ok(Self { list, ranges: ranges.to_owned() })
    }
}

impl Name for MetadataName {
    fn parse(text: &str) -> Result<Self, Error> {
        let found = is_metadata_name(text).then(|| Self(text.to_owned()));
        found.ok_or_else(|| unknown("not a name of metadata"))
    }
}

impl Name for TargetName {
    fn parse(text: &str) -> Result<Self, Error> {
        let found = is_target_name(text).then(|| Self(text.to_owned()));
        found.ok_or_else(|| unknown("not a name of a target"))
    }
}

fn unknown(what: &str) -> Error {
    Error::NotFound(what.into())
}

/// `timestamp.json` or `N.role.json`.
pub fn is_metadata_name(name: &str) -> bool {
    if name == "timestamp.json" {
        return true;
    }
    let role = name.strip_suffix(".json").and_then(|stem| stem.split_once('.'));
    name.len() <= NAME_MAX
        && role.is_some_and(|(version, role)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit())
                && !role.is_empty()
                && role.bytes().all(is_name_byte)
        })
}

/// `images/SHA256.NAME.json` or `pins/SHA256.NAME.json`.
pub fn is_target_name(name: &str) -> bool {
    let stem = name.strip_prefix("images/").or_else(|| name.strip_prefix("pins/"));
    let parts = stem.and_then(|stem| stem.strip_suffix(".json")).and_then(|stem| stem.split_once('.'));
    name.len() <= NAME_MAX
        && parts.is_some_and(|(digest, target)| {
            digest.parse::<image_format::Sha256>().is_ok()
                && !target.is_empty()
                && target.bytes().all(|byte| is_name_byte(byte) || byte == b'@')
        })
}

fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, Uri};
    use proptest::prelude::*;

    use super::*;
    use crate::app::tests::app;
    use crate::delivery::router;
    use crate::http::strict;
    use crate::http::tests::ask;

    #[tokio::test]
    async fn the_paths_of_the_contract() {
        let hex = "0123456789abcdef".repeat(4);
        let id: ObjectId = hex.parse().unwrap();
        assert_eq!(ObjectId::parse(&hex).unwrap(), id);
        let batch = Batch { list: id, ranges: "0-3,7".into() };
        assert_eq!(Batch::parse(&format!("{hex}/0-3,7")).unwrap(), batch);
        for name in ["timestamp.json", "12.root.json"] {
            assert_eq!(MetadataName::parse(name).unwrap(), MetadataName(name.into()));
        }
        for name in [format!("pins/{hex}.@assignments.json"), format!("images/{hex}.ha@1.2.json")] {
            assert_eq!(TargetName::parse(&name).unwrap(), TargetName(name));
        }

        let dir = tempfile::tempdir().unwrap();
        let routes = router(app(dir.path()));
        for (path, word) in [
            ("/boot.ipxe", "boot"),
            ("/boot.ipxe.0", "boot"),
            (&format!("/objects/{hex}"), "object"),
            (&format!("/batch/{hex}/0-3,7"), "batch"),
            ("/metadata/timestamp.json", "metadata"),
            ("/metadata/12.root.json", "metadata"),
            (&format!("/targets/pins/{hex}.@assignments.json"), "target"),
            (&format!("/targets/images/{hex}.ha@1.2.json"), "target"),
            ("/casync/ha@1.caibx", "casync"),
            (&format!("/casync/default.castr/0123/{hex}.cacnk"), "casync"),
            ("/healthz", "healthz"),
            ("/readyz", "readyz"),
            ("/metrics", "metrics"),
        ] {
            assert_eq!(ask(&routes, "GET", path).await.1, word, "{path}");
        }
    }

    #[tokio::test]
    async fn hostile_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let routes = router(app(dir.path()));
        let hex = "a".repeat(64);
        for path in [
            "/objects/../../etc/passwd",
            "/objects/%2e%2e%2f",
            "/objects/%00",
            "/objects/..%5c",
            "/objects/%252e%252e",
            "/objects\\x",
            "//objects/x",
            "/metadata/..",
            "/metadata/1...json",
            &format!("/objects/%61{}", &hex[1..]),
            &format!("/objects//{hex}"),
        ] {
            assert!(strict::spelling(path).is_err(), "{path}");
            // Some are no URI at all.
            if path.parse::<Uri>().is_ok() {
                let (refused, word) = ask(&routes, "GET", path).await;
                assert_eq!((refused.status(), word), (StatusCode::BAD_REQUEST, "none"), "{path}");
            }
        }
        for path in [
            "/".into(),
            "*".into(),
            "/objects".into(),
            "/objects/".into(),
            format!("/objects/{}", hex.to_uppercase()),
            format!("/objects/{}", &hex[1..]),
            format!("/objects/{hex}a"),
            format!("/objects/{hex}/"),
            format!("/objects/{}", "a".repeat(10_240)),
            format!("/batch/{hex}"),
            format!("/batch/{}/0", hex.to_uppercase()),
            "/metadata/root.json".into(),
            "/metadata/.root.json".into(),
            "/metadata/1.json".into(),
            "/metadata/1.Root.json".into(),
            "/metadata/x/timestamp.json".into(),
            format!("/metadata/1.{}.json", "a".repeat(300)),
            "/targets/images/ha@1.json".into(),
            format!("/targets/images/{hex}.json"),
            format!("/targets/other/{hex}.ha@1.json"),
            format!("/targets/images/{hex}.ha@1.json/x"),
            format!("/targets/images/{hex}.HA@1.json"),
            "/casync/".into(),
            "/casync/x.json".into(),
            format!("/casync/default.castr/{hex}.cacnk"),
            "/admin.token".into(),
            "/fleet.db".into(),
        ] {
            strict::spelling(&path).unwrap();
            let (refused, word) = ask(&routes, "GET", &path).await;
            assert_eq!((refused.status(), word), (StatusCode::NOT_FOUND, "none"), "{path}");
        }
    }

    proptest! {
        /// Whatever is let through leads below its directory when it is used as a relative path.
        #[test]
        fn names_that_pass_never_climb(name in "[a-zA-Z0-9./@%\\\\_-]{0,90}") {
            let (metadata, target) = (format!("/metadata/{name}"), format!("/targets/{name}"));
            let metadata = strict::spelling(&metadata).is_ok() && MetadataName::parse(&name).is_ok();
            let target = strict::spelling(&target).is_ok() && TargetName::parse(&name).is_ok();
            if metadata || target {
                prop_assert!(!name.contains("..") && !name.starts_with('/') && !name.contains("//"));
                prop_assert!(name.bytes().all(|byte| is_name_byte(byte) || b"@/".contains(&byte)));
            }
        }
    }
}
