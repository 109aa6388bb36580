//! Parts of the Rust toolchain beyond the compiler: the agent's target, clippy, rustfmt.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::view::View;
use crate::workspace::{self, AGENT_TARGET};

/// Adds what is missing through rustup. Returns a short account.
pub fn ensure_complete(view: &View) -> Result<String> {
    let mut added = Vec::new();
    if !has_target()? {
        rustup(view, &["target", "add", AGENT_TARGET])?;
        added.push(AGENT_TARGET);
    }
    for (component, verb) in [("clippy", "clippy"), ("rustfmt", "fmt")] {
        if !has_verb(verb)? {
            rustup(view, &["component", "add", component])?;
            added.push(component);
        }
    }
    Ok(if added.is_empty() { "all present".into() } else { format!("added {}", added.join(" ")) })
}

fn has_target() -> Result<bool> {
    let out = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", AGENT_TARGET])
        .current_dir(workspace::root())
        .output()
        .context("run rustc")?;
    let dir = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    Ok(out.status.success() && std::path::Path::new(&dir).is_dir())
}

fn has_verb(verb: &str) -> Result<bool> {
    let status = workspace::cargo()
        .args([verb, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("run cargo")?;
    Ok(status.success())
}

fn rustup(view: &View, arguments: &[&str]) -> Result<()> {
    let what = format!("rustup {}", arguments.join(" "));
    view.note(&format!("     {what}"));
    let mut command = Command::new("rustup");
    command.args(arguments).current_dir(workspace::root());
    crate::process::run(&command, view)?.success(&what)?;
    Ok(())
}
