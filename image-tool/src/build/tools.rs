//! Runs Debian's tools and reports what they say when they fail.

use std::io;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

/// Lines of a failed tool's output that are shown.
const LINES_SHOWN: usize = 12;

/// Runs `command`, which Debian's `package` brings, and returns its output.
pub(crate) fn run(command: &mut Command, package: &str) -> anyhow::Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| missing(&name, package, error))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, last_lines(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(output)
}

/// The error of a tool that could not be started.
pub(crate) fn missing(name: &str, package: &str, error: io::Error) -> anyhow::Error {
    let not_found = error.kind() == io::ErrorKind::NotFound;
    let error = anyhow::Error::new(error);
    if not_found {
        error.context(format!("start {name}: install the Debian package {package}"))
    } else {
        error.context(format!("start {name}"))
    }
}

/// The end of a tool's output.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("; ")
}

/// Whether the user may do anything: the effective user id of this process is 0.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let this = std::fs::metadata("/proc/self").context("read /proc/self")?;
    Ok(this.uid() == 0)
}
