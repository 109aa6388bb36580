//! A change on its way from machine to machine until enough keys have signed it: one JSON file.
//!
//! ```text
//! prepare (with the repository) ─→ FILE ─ sign ─ sign (anywhere, with a key) ─→ commit (with the repository)
//! ```
//!
//! ```json
//! {
//!   "bascule_proposal": 1,
//!   "made": "2026-11-20T12:00:00Z",
//!   "base": {"1.root.json": "…", "4.releases.json": "…", "timestamp.json": "…"},
//!   "roles": {"releases": "{\"signatures\": […], \"signed\": {…}}"},
//!   "documents": {"images/<sha256>.ha@2.json": "…"}
//! }
//! ```
//!
//! `base` is the state that the change was made on: every root and the current metadata, so that a machine which only has some root
//! it trusts can verify it as any client does. `roles` is what is to be signed. `documents` are the manifests and pins that it
//! lists, and those that it replaces, so that they can be shown. Nothing in the file is believed: see [`Examined`].
//!
//! A file with an empty `base` proposes the first metadata of a repository.

mod changes;
mod diff;
mod documents;
mod examine;
mod merge;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use signing::UnixTime;
use signing::repo::{Proposal, RoleName};

pub(crate) use self::changes::RoleChange;
pub(crate) use self::examine::Examined;
pub(crate) use self::words::progress;
use crate::fsutil::{PUBLIC, read_limited, write_atomic};

/// Largest file read, in bytes: metadata of some ten thousand images.
const FILE_MAX: u64 = 64 << 20;
/// The only format so far.
const FORMAT: u32 = 1;

/// The file. Texts are the exact bytes of the files that they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProposalFile {
    bascule_proposal: u32,
    /// When it was prepared.
    made: UnixTime,
    /// Metadata file name → text.
    base: BTreeMap<String, String>,
    /// Role → text of its metadata file, with the signatures so far.
    roles: BTreeMap<String, String>,
    /// Target file name (`pins/<sha256>.web.json`) → text.
    documents: BTreeMap<String, String>,
}

impl ProposalFile {
    /// A proposal made on `base` (metadata files by name), with the documents that it lists or replaces.
    pub(crate) fn new(
        base: BTreeMap<String, Vec<u8>>,
        proposal: &Proposal,
        documents: BTreeMap<String, Vec<u8>>,
        made: UnixTime,
    ) -> anyhow::Result<Self> {
        let (base, documents) = (texts(base)?, texts(documents)?);
        let mut file = Self { bascule_proposal: FORMAT, made, base, roles: BTreeMap::new(), documents };
        file.update(proposal)?;
        Ok(file)
    }

    /// Reads a file that anybody may have written. Only its shape is checked.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read_limited(path, FILE_MAX)?;
        Self::parse(&bytes).with_context(|| format!("read proposal {}", path.display()))
    }

    /// Writes it, in the place of what was there.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).context("write the proposal")?;
        bytes.push(b'\n');
        ensure!(
            bytes.len() as u64 <= FILE_MAX,
            "write {}: expected at most {FILE_MAX} bytes, found {}",
            path.display(),
            bytes.len()
        );
        write_atomic(path, &bytes, PUBLIC)
    }

    /// The proposed roles with the signatures so far.
    pub(crate) fn proposal(&self) -> anyhow::Result<Proposal> {
        let mut files = BTreeMap::new();
        for (name, text) in &self.roles {
            let role = RoleName::ALL.into_iter().find(|role| role.as_str() == name);
            let role = role.with_context(|| format!("unknown role {:?}", short(name)))?;
            files.insert(role, text.clone().into_bytes());
        }
        ensure!(!files.is_empty(), "expected a change, found none");
        Proposal::from_files(&files).context("read the proposed metadata")
    }

    /// Takes over the signatures that `proposal` has gathered.
    pub(crate) fn update(&mut self, proposal: &Proposal) -> anyhow::Result<()> {
        let files = proposal.files().context("write the proposal")?;
        let named = files.into_iter().map(|(role, bytes)| (role.as_str().to_owned(), bytes)).collect();
        self.roles = texts(named)?;
        Ok(())
    }

    /// The state that it was made on, by file name.
    pub(crate) fn base(&self) -> &BTreeMap<String, String> {
        &self.base
    }

    /// The listed and the replaced documents, by file name.
    pub(crate) fn documents(&self) -> &BTreeMap<String, String> {
        &self.documents
    }

    /// When it was prepared, as it says itself.
    pub(crate) fn made(&self) -> UnixTime {
        self.made
    }

    /// Reads the content of a file. Only its shape is checked.
    ///
    /// # Errors
    /// Another format, unknown or missing fields.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let value = signing::parse(bytes, usize::try_from(FILE_MAX).unwrap_or(usize::MAX))?;
        let file: Self = signing::from_value(&value)?;
        if file.bascule_proposal != FORMAT {
            bail!("expected format {FORMAT}, found {}", file.bascule_proposal);
        }
        Ok(file)
    }
}

fn texts(files: BTreeMap<String, Vec<u8>>) -> anyhow::Result<BTreeMap<String, String>> {
    let text = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8(bytes).ok().with_context(|| format!("{name}: expected text"))?;
        Ok((name, text))
    };
    files.into_iter().map(text).collect()
}

/// What foreign text is shown of, so that a message stays one line.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str =
        r#"{"bascule_proposal":1,"made":"2026-11-20T12:00:00Z","base":{},"roles":{},"documents":{}}"#;

    #[test]
    fn only_its_own_shape_is_read() {
        let file = ProposalFile::parse(EMPTY.as_bytes()).unwrap();
        assert!(format!("{:#}", file.proposal().unwrap_err()).contains("expected a change"));
        for (wrong, expected) in [
            (EMPTY.replace(":1,", ":2,"), "expected format 1, found 2"),
            (EMPTY.replace("\"base\":{},", ""), "base"),
            (EMPTY.replace("{},\"roles\"", "{},\"rolls\":{},\"roles\""), "rolls"),
            (EMPTY.replace("{},\"roles\"", "{},\"base\":{},\"roles\""), "base"),
            (EMPTY.replace("{}}", "{\"x\":1}}"), "string"),
            (EMPTY.replace("T12", " 12"), "2026"),
            (format!("{EMPTY}x"), ""),
            (String::new(), ""),
        ] {
            let error = format!("{:#}", ProposalFile::parse(wrong.as_bytes()).unwrap_err());
            assert!(error.contains(expected), "{wrong}: {error}");
        }
        for role in ["snapshot", "timestamp", "boot", "Root"] {
            let text = EMPTY.replace("\"roles\":{}", &format!("\"roles\":{{\"{role}\":\"{{}}\"}}"));
            assert!(ProposalFile::parse(text.as_bytes()).unwrap().proposal().is_err(), "{role}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), role in "[a-z]{0,9}", text in ".{0,80}") {
            let _ = ProposalFile::parse(&bytes);
            let roles = serde_json::json!({ role: text }).to_string();
            let file = ProposalFile::parse(EMPTY.replace("\"roles\":{}", &format!("\"roles\":{roles}")).as_bytes());
            let _ = file.map(|file| file.proposal());
        }
    }
}
