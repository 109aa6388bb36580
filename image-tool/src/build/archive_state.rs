//! What the Debian archive has right now: the digests of its signed indexes.
//!
//! They only decide whether an earlier root tree can be used again. Their signatures are checked by apt, when a root tree is
//! made.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use image_format::Sha256;
use image_format::manifest::provenance::{Archive, Snapshot};
use serde::Serialize;

use super::tools;
use crate::recipe::Debian;

/// Uses the machine's apt settings, such as proxies.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// Base URL and suite of each part of the archive that roots are made from.
pub(crate) fn suites(debian: &Debian) -> impl Iterator<Item = (String, String)> {
    let suite = &debian.suite;
    let security = debian.security_mirror.as_ref().map(|url| (url.clone(), format!("{suite}-security")));
    [(debian.mirror.clone(), suite.clone()), (debian.mirror.clone(), format!("{suite}-updates"))]
        .into_iter()
        .chain(security)
}

/// An archive right now.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ArchiveState {
    /// Base URL.
    pub(crate) url: String,
    /// Suite.
    pub(crate) suite: String,
    /// Digest of its `InRelease`.
    pub(crate) in_release: Sha256,
    /// The same by BLAKE3, for the key of a root tree.
    #[serde(skip)]
    blake3: blake3::Hash,
}

impl ArchiveState {
    /// A line that is another one when the archive has changed.
    pub(crate) fn key(&self) -> String {
        format!("{} {}\n", in_release(&self.url, &self.suite), self.blake3)
    }

    /// What the manifest says about it: its state only where the address names one.
    pub(crate) fn provenance(&self, components: &[String]) -> Archive {
        let snapshot =
            is_snapshot(&self.url).then(|| Snapshot { url: self.url.clone(), in_release: self.in_release });
        Archive { suite: self.suite.clone(), components: components.to_vec(), snapshot }
    }
}

/// The state of each part of the archive. Temporary files go to `work`.
pub(crate) fn fetch(debian: &Debian, work: &Path) -> anyhow::Result<Vec<ArchiveState>> {
    let fetch = |(base, suite): (String, String)| {
        let url = in_release(&base, &suite);
        let file = work.join(format!("InRelease-{suite}"));
        let mut command = Command::new(HELPER);
        command.args(["-o", "Acquire::Retries=3", "download-file", &url]).arg(&file);
        tools::run(&mut command, "apt").with_context(|| format!("fetch {url}"))?;
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let (in_release, blake3) = (Sha256::of(&bytes), blake3::hash(&bytes));
        Ok(ArchiveState { url: base, suite, in_release, blake3 })
    };
    suites(debian).map(fetch).collect()
}

fn in_release(base: &str, suite: &str) -> String {
    format!("{}/dists/{suite}/InRelease", base.trim_end_matches('/'))
}

/// Whether a URL names the archive at a moment, as snapshot.debian.org does: a part `20261101T000000Z`.
fn is_snapshot(url: &str) -> bool {
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    url.split('/').any(|part| {
        let moment = part.strip_suffix('Z').and_then(|part| part.split_once('T'));
        moment.is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_recorded_where_the_address_names_it() {
        let state = |url: &str| {
            let (in_release, blake3) = (Sha256::of(b"x"), blake3::hash(b"x"));
            let state = ArchiveState { url: url.into(), suite: "bookworm".into(), in_release, blake3 };
            state.provenance(&["main".into()]).snapshot
        };
        assert_eq!(state("http://deb.debian.org/debian"), None);
        assert_eq!(state("http://mirror.example/2026T/debian"), None);
        let url = "https://snapshot.debian.org/archive/debian/20261101T000000Z/";
        assert_eq!(state(url), Some(Snapshot { url: url.into(), in_release: Sha256::of(b"x") }));
    }
}
