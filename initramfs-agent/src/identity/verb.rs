//! `imgagent identity`: the key, for people at this machine.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use fleet_protocol::node::EnrolmentState;

use super::{DIR, Identity, STATE, public_key, status};

/// Key and last word of the server, in one line; none without a key.
pub fn describe(state: &Path) -> Option<String> {
    let key = public_key(state)?;
    let said = status(state).filter(|status| status.key == key).map_or_else(
        || "no answer of the server yet".to_owned(),
        |status| {
            let message =
                status.answer.message.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
            // A refusal is no state of its own.
            let unknown = status.answer.state == EnrolmentState::Unknown;
            format!("{}: {message}", if unknown { "refused" } else { status.answer.state.word() })
        },
    );
    Some(format!("key {}   {said}", key.short()))
}

/// Prints the key and what the server said about it.
///
/// # Errors
/// There is no key.
pub fn show() -> anyhow::Result<()> {
    let state = Path::new(STATE);
    let key = public_key(state)
        .context("this node has no key: is the state partition mounted, and are you root?")?;
    let line = describe(state).unwrap_or_default();
    writeln!(std::io::stdout(), "{key}\n{line}").context("print the key")
}

/// Makes a new key in place of the old one.
///
/// # Errors
/// Another process signs with the old one, or the state partition cannot be written.
pub fn renew() -> anyhow::Result<()> {
    let state = Path::new(STATE);
    let dir = state.join(DIR);
    anyhow::ensure!(
        dir.is_dir(),
        "{}: this node has no key to replace: is the state partition mounted?",
        dir.display()
    );
    let identity = Identity::renew(state).context(
        "make a new key: stop the health service first (systemctl stop bascule-health), and start it after",
    )?;
    writeln!(std::io::stdout(), "{}", identity.public()).context("print the key")
}
