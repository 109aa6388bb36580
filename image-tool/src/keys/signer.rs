//! What can sign for a role: its key files, and what `bascule.toml` names.
//!
//! ```toml
//! [[signer]]
//! role = "root"
//! kind = "file"
//! file = "/media/stick/root-1.pem"
//!
//! [[signer]]
//! role = "releases"
//! kind = "ssh-agent"               # any key of the agent that the role trusts; or only this one:
//! key = "keys/releases-token.pub"
//!
//! [[signer]]
//! role = "pins"
//! kind = "command"
//! command = ["pkcs11-sign", "--slot", "9c"]   # message on stdin, 64 bytes or 128 hex digits on stdout
//! key = "keys/pins-token.pub"
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use signing::key::KeyId;
use signing::{PublicKey, Signer};

use super::agent::{self, AgentKey};
use super::command::CommandKey;
use super::file::load_public;
use super::locked::open;
use super::passphrase::Passphrases;
use super::role::KeyRole;

/// One `[[signer]]` of `bascule.toml`. Paths are relative to the repository directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum SignerConfig {
    /// A key file elsewhere.
    File {
        /// What it signs.
        role: KeyRole,
        /// Private key.
        file: PathBuf,
    },
    /// Keys of the ssh-agent.
    SshAgent {
        /// What they sign.
        role: KeyRole,
        /// Public key file of the only one to use; without it, every key that the role trusts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<PathBuf>,
    },
    /// A program.
    Command {
        /// What it signs.
        role: KeyRole,
        /// Program and arguments.
        command: Vec<String>,
        /// Public key file.
        key: PathBuf,
    },
}

impl SignerConfig {
    /// What it signs.
    pub(crate) fn role(&self) -> KeyRole {
        match self {
            Self::File { role, .. } | Self::SshAgent { role, .. } | Self::Command { role, .. } => *role,
        }
    }

    /// For people: where the key is.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File { file, .. } => file.display().to_string(),
            Self::SshAgent { .. } => "ssh-agent".to_owned(),
            Self::Command { command, .. } => {
                format!("command {}", command.first().map_or("", String::as_str))
            }
        }
    }

    /// The signers for those of `wanted` that are here. No key that is not wanted is opened if its public half is known.
    pub(super) fn signers(
        &self,
        dir: &Path,
        wanted: &[KeyId],
        passphrases: &Arc<Passphrases>,
    ) -> anyhow::Result<Vec<Box<dyn Signer>>> {
        match self {
            Self::File { file, .. } => {
                let file = dir.join(file);
                let public = load_public(&file, passphrases)?;
                if !wanted.contains(&public.id()) {
                    return Ok(Vec::new());
                }
                Ok(vec![open(file, public, passphrases)?])
            }
            Self::SshAgent { key, .. } => {
                let only = key.as_ref().map(|key| load_public(&dir.join(key), passphrases)).transpose()?;
                from_agent(wanted, only.as_ref())
            }
            Self::Command { command, key, .. } => {
                let public = load_public(&dir.join(key), passphrases)?;
                let signer = wanted.contains(&public.id()).then(|| CommandKey::new(public, command.clone()));
                Ok(signer.into_iter().map(|signer| Box::new(signer) as Box<dyn Signer>).collect())
            }
        }
    }

    /// The public keys that it could sign with, found without opening a secret; for overviews.
    pub(super) fn publics(&self, dir: &Path, passphrases: &Passphrases) -> anyhow::Result<Vec<PublicKey>> {
        match self {
            Self::File { file, .. } => Ok(vec![load_public(&dir.join(file), passphrases)?]),
            Self::Command { key, .. } | Self::SshAgent { key: Some(key), .. } => {
                Ok(vec![load_public(&dir.join(key), passphrases)?])
            }
            Self::SshAgent { key: None, .. } => {
                Ok(agent::identities()?.iter().map(AgentKey::public).collect())
            }
        }
    }
}

/// The agent's keys that are among `wanted` (and `only` that one, if there is one).
pub(crate) fn from_agent(wanted: &[KeyId], only: Option<&PublicKey>) -> anyhow::Result<Vec<Box<dyn Signer>>> {
    let keys = agent::identities()?.into_iter();
    let fits = |key: &AgentKey| {
        let public = key.public();
        wanted.contains(&public.id()) && only.is_none_or(|only| *only == public)
    };
    Ok(keys.filter(fits).map(|key| Box::new(key) as Box<dyn Signer>).collect())
}
