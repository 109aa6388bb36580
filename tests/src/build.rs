//! Builds the three programs.

use std::path::PathBuf;

use anyhow::Result;

use crate::process;
use crate::view::{View, megabytes};
use crate::workspace::{self, AGENT_TARGET};

/// Builds them all. Returns a short account.
pub fn programs(view: &View) -> Result<String> {
    cargo(view, &["build", "--release", "-p", "image-tool", "-p", "server"])?;
    cargo(view, &["build", "--profile", "agent", "--target", AGENT_TARGET, "-p", "initramfs-agent"])?;
    Ok(format!("the agent has {}", megabytes(agent_size()?)))
}

/// Builds the client of `signing` with the command line of the TUF conformance suite; `feature` is `tuf-client` or `conformance`.
pub fn tuf_client(view: &View, feature: &str) -> Result<PathBuf> {
    cargo(view, &["build", "-p", "bascule-tests", "--bin", "tuf-client", "--features", feature])?;
    Ok(workspace::target_dir().join("debug").join("tuf-client"))
}

/// Builds the agent's slot writer as a program of its own, for measuring; gives its path.
pub fn slot_update(view: &View) -> Result<PathBuf> {
    let features = ["--features", "slot-update"];
    cargo(
        view,
        &[&["build", "--release", "-p", "bascule-tests", "--bin", "slot-update"], &features[..]].concat(),
    )?;
    Ok(workspace::target_dir().join("release").join("slot-update"))
}

/// Size of the agent's binary in bytes.
pub fn agent_size() -> Result<u64> {
    Ok(workspace::built("imgagent")?.metadata()?.len())
}

/// Runs a cargo verb to its end; what it printed is in the error when it fails.
pub fn cargo(view: &View, arguments: &[&str]) -> Result<process::Output> {
    let output = process::run(workspace::cargo().args(arguments), view)?;
    output.success(&format!("cargo {}", arguments.join(" ")))
}
