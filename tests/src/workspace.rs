//! Where things lie: the workspace, its target directory, the built programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// The target triple of the agent.
pub const AGENT_TARGET: &str = "x86_64-unknown-linux-musl";

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies one level below the workspace root")
        .to_owned()
}

/// Cargo's target directory, `CARGO_TARGET_DIR` or `target`.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where a program is after the build.
pub fn program(name: &str) -> PathBuf {
    match name {
        "imgagent" => target_dir().join(AGENT_TARGET).join("agent").join(name),
        _ => target_dir().join("release").join(name),
    }
}

/// The same, as an error that says how to build it when it is not there.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = program(name);
    ensure!(path.is_file(), "{}: not built; run `cargo verify --only build`", path.display());
    Ok(path)
}

/// The cargo that started this program, or the one in `PATH`.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
