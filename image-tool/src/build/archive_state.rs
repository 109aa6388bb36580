//! What the Debian archive has right now: the digests of its signed indexes.
//!
//! They only decide whether an earlier root tree can be used again. Their signatures are checked by apt, when a root tree is
//! made.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::tools;
use crate::recipe::Debian;

/// Uses the machine's apt settings, such as proxies.
const HELPER: &str = "/usr/lib/apt/apt-helper";

/// Base URL and suite of each part of the archive that roots are made from.
pub(crate) fn suites(debian: &Debian) -> [(String, String); 3] {
    let suite = &debian.suite;
    [
        (debian.mirror.clone(), suite.clone()),
        (debian.mirror.clone(), format!("{suite}-updates")),
        (debian.security_mirror.clone(), format!("{suite}-security")),
    ]
}

/// A line for each part of the archive: its URL and the digest of its index. Temporary files go to `work`.
pub(crate) fn fetch(debian: &Debian, work: &Path) -> anyhow::Result<String> {
    let mut lines = String::new();
    for (base, suite) in suites(debian) {
        let url = format!("{}/dists/{suite}/InRelease", base.trim_end_matches('/'));
        let file = work.join(format!("InRelease-{suite}"));
        let mut command = Command::new(HELPER);
        command.args(["-o", "Acquire::Retries=3", "download-file", &url]).arg(&file);
        tools::run(&mut command, "apt").with_context(|| format!("fetch {url}"))?;
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        lines.push_str(&format!("{url} {}\n", blake3::hash(&bytes)));
    }
    Ok(lines)
}
