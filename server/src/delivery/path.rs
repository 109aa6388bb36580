//! From the path of a request to what is asked for. Pure, and before any file is touched.
//!
//! Nothing is decoded or normalised: a name is spelled in the one way we spell it, or it does not exist.

use image_format::ObjectId;

/// Longest metadata or target file name, in bytes.
const NAME_MAX: usize = 200;

/// What is asked for on the delivery listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'p> {
    /// The iPXE script.
    Boot,
    /// A stored object.
    Object(ObjectId),
    /// Many stored objects of one index; the ranges are not parsed yet.
    Batch(ObjectId, &'p str),
    /// A metadata file, by its name in `tuf/metadata/`.
    Metadata(&'p str),
    /// A target file, by its path below `tuf/targets/`.
    Target(&'p str),
    /// Is the process up?
    Health,
    /// Can it serve?
    Ready,
    /// Prometheus.
    Metrics,
}

/// Why a path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A spelling that we never use; an attempt at something.
    Spelling(&'static str),
    /// Nothing of that name.
    Unknown(&'static str),
}

impl<'p> Route<'p> {
    /// Reads a path as it came, undecoded.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn of(path: &'p str) -> Result<Self, Refused> {
        check_spelling(path)?;
        match path {
            "/boot.ipxe" | "/boot.ipxe.0" => return Ok(Self::Boot),
            "/healthz" => return Ok(Self::Health),
            "/readyz" => return Ok(Self::Ready),
            "/metrics" => return Ok(Self::Metrics),
            _ => {}
        }
        if let Some(id) = path.strip_prefix("/objects/") {
            let id = id.parse();
            return id
                .map(Self::Object)
                .map_err(|_| Refused::Unknown("an object is named by 64 lower-case hex digits"));
        }
        if let Some(rest) = path.strip_prefix("/batch/") {
            let (id, ranges) = rest.split_once('/').ok_or(Refused::Unknown("a batch is INDEX/RANGES"))?;
            let id =
                id.parse().map_err(|_| Refused::Unknown("an index is named by 64 lower-case hex digits"))?;
            return Ok(Self::Batch(id, ranges));
        }
        if let Some(name) = path.strip_prefix("/metadata/") {
            let found = is_metadata_name(name).then_some(Self::Metadata(name));
            return found.ok_or(Refused::Unknown("not a name of metadata"));
        }
        if let Some(name) = path.strip_prefix("/targets/") {
            let found = is_target_name(name).then_some(Self::Target(name));
            return found.ok_or(Refused::Unknown("not a name of a target"));
        }
        Err(Refused::Unknown("no such page"))
    }

    /// The route as a word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Object(_) => "object",
            Self::Batch(..) => "batch",
            Self::Metadata(_) => "metadata",
            Self::Target(_) => "target",
            Self::Health => "healthz",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
        }
    }
}

fn check_spelling(path: &str) -> Result<(), Refused> {
    if path.contains('%') {
        return Err(Refused::Spelling("percent-encoding in a path"));
    }
    if path.contains("..") || path.contains('\\') || path.contains("//") || path.contains('\0') {
        return Err(Refused::Spelling("a path that climbs or repeats separators"));
    }
    Ok(())
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_paths_of_the_contract() {
        let hex = "0123456789abcdef".repeat(4);
        let id: ObjectId = hex.parse().unwrap();
        assert_eq!(Route::of("/boot.ipxe"), Ok(Route::Boot));
        assert_eq!(Route::of("/boot.ipxe.0"), Ok(Route::Boot));
        assert_eq!(Route::of(&format!("/objects/{hex}")), Ok(Route::Object(id)));
        assert_eq!(Route::of(&format!("/batch/{hex}/0-3,7")), Ok(Route::Batch(id, "0-3,7")));
        assert_eq!(Route::of("/metadata/timestamp.json"), Ok(Route::Metadata("timestamp.json")));
        assert_eq!(Route::of("/metadata/12.root.json"), Ok(Route::Metadata("12.root.json")));
        let pin = format!("pins/{hex}.@assignments.json");
        assert_eq!(Route::of(&format!("/targets/{pin}")), Ok(Route::Target(&pin)));
        let image = format!("images/{hex}.ha@1.2.json");
        assert_eq!(Route::of(&format!("/targets/{image}")), Ok(Route::Target(&image)));
    }

    #[test]
    fn hostile_paths_are_refused() {
        let hex = "a".repeat(64);
        let spelled = |path: &str| matches!(Route::of(path), Err(Refused::Spelling(_)));
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
            assert!(spelled(path), "{path} {:?}", Route::of(path));
        }
        for path in [
            String::new(),
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
            "/admin.token".into(),
            "/fleet.db".into(),
        ] {
            assert!(matches!(Route::of(&path), Err(Refused::Unknown(_))), "{path} {:?}", Route::of(&path));
        }
    }

    proptest! {
        /// Whatever is let through leads below its directory when it is used as a relative path.
        #[test]
        fn names_that_pass_never_climb(path in "/(metadata|targets|objects|batch)/[a-zA-Z0-9./@%\\\\_-]{0,90}") {
            if let Ok(Route::Metadata(name) | Route::Target(name)) = Route::of(&path) {
                prop_assert!(!name.contains("..") && !name.starts_with('/') && !name.contains("//"));
                prop_assert!(name.bytes().all(|byte| is_name_byte(byte) || b"@/".contains(&byte)));
            }
        }
    }
}
