//! How mmdebstrap gets the rights it needs.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::tools;

/// The way that the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ModeChoice {
    /// As root when root, else unshare
    Auto,
    /// As root
    Root,
    /// In a user namespace, without root
    Unshare,
}

/// The way that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As root.
    Root,
    /// In a user namespace.
    Unshare,
}

impl Mode {
    /// mmdebstrap's word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Unshare => "unshare",
        }
    }

    /// The way to take, or what is missing for it.
    pub(crate) fn choose(choice: ModeChoice) -> anyhow::Result<Self> {
        match (choice, tools::is_root()?) {
            (ModeChoice::Root | ModeChoice::Auto, true) => Ok(Self::Root),
            (ModeChoice::Root, false) => bail!("--mode root: expected to run as root, found another user"),
            (ModeChoice::Unshare | ModeChoice::Auto, _) => {
                let missing = missing_for_unshare()?;
                if !missing.is_empty() {
                    bail!(
                        "a root tree is made as root, or in a user namespace, for which this machine lacks: {}",
                        missing.join("; ")
                    );
                }
                Ok(Self::Unshare)
            }
        }
    }
}

fn missing_for_unshare() -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    let starts = |program: &str, arg: &str| Command::new(program).arg(arg).output().is_ok();
    if !starts("newuidmap", "--help") || !starts("newgidmap", "--help") {
        missing.push("newuidmap and newgidmap (Debian package uidmap)".to_owned());
    }
    let user = tools::run(Command::new("id").arg("-un"), "coreutils").context("ask for the user's name")?;
    let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.split(':').next() == Some(user.as_str())) {
            missing.push(format!("a range for {user} in {file} (usermod --add-subuids / --add-subgids)"));
        }
    }
    let unshared = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !unshared.is_ok_and(|output| output.status.success()) {
        missing.push(
            "user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)".to_owned(),
        );
    }
    Ok(missing)
}
