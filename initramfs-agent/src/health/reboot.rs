//! Restarting the machine, politely and then not.

use std::ffi::OsStr;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use crate::process::{self, Command};
use crate::say;

/// How long a polite restart may take: systemd's own limit for stopping a unit is 90 s.
const POLITE: Duration = Duration::from_secs(120);

/// Asks systemd to restart, and the kernel when that hangs. Comes back only where the kernel refuses.
pub(super) fn restart() -> anyhow::Error {
    let words = ["reboot"].map(OsStr::new);
    let command = Command { program: OsStr::new("systemctl"), arguments: &words, root: None };
    match process::run(&command, Duration::from_secs(30)) {
        Ok(outcome) if outcome.code == Some(0) => std::thread::sleep(POLITE),
        Ok(outcome) => say!("health: systemctl reboot: {outcome}; restarting by force"),
        Err(error) => say!("health: systemctl reboot: {error}; restarting by force"),
    }
    rustix::fs::sync();
    match reboot(RebootCommand::Restart) {
        Ok(()) => anyhow::anyhow!("restart: the call returned"),
        Err(error) => anyhow::Error::new(error).context("restart"),
    }
}
