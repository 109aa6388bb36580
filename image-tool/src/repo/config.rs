//! `bascule.toml`: the repository's settings. Unknown names are refused, so that a typing error is not a silent default.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::fsutil::read_limited;
use crate::keys::SignerConfig;

/// Name of the settings file; its presence says that the repository is complete.
pub(crate) const FILE: &str = "bascule.toml";

/// Longest settings file read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where `publish`, `pin`, `nodes` go: `http://host:7081` (a server's admin listener) or a store directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remote: Option<String>,
    /// File with the server's bearer token; relative to the repository directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// What can sign besides the files in `keys/`.
    #[serde(default, rename = "signer", skip_serializing_if = "Vec::is_empty")]
    pub(crate) signers: Vec<SignerConfig>,
}

impl Config {
    /// Reads the settings of the repository at `dir`.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(FILE);
        let bytes = read_limited(&path, FILE_MAX)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(text).with_context(|| format!("read {}", path.display()))
    }

    /// The text of the file, with the settings that are not made as comments.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        let mut text = String::from("# Settings of this Bascule repository.\n");
        if self.remote.is_none() {
            text.push_str("# remote = \"http://boot.example:7081\"  # admin listener of imgserver, or a store directory\n");
        }
        if self.token_file.is_none() {
            text.push_str("# token_file = \"admin.token\"           # the server's bearer token\n");
        }
        text.push_str(&toml::to_string(self).context("write settings")?);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyRole;

    #[test]
    fn signers_are_read_strictly() {
        let read = |text: &str| toml::from_str::<Config>(text).map_err(|error| error.to_string());
        let good = "[[signer]]\nrole = \"root\"\nkind = \"ssh-agent\"\nkey = \"root.pub\"\n";
        assert_eq!(read(good).unwrap().signers[0].role(), KeyRole::Root);
        for (wrong, expected) in [
            (good.replace("root\"\nkind", "boot\"\nkind"), "unknown variant `boot`"),
            (good.replace("ssh-agent", "agent"), "unknown variant `agent`"),
            (good.replace("key =", "kee ="), "unknown field `kee`"),
            (good.replace("ssh-agent", "file"), "unknown field `key`"),
        ] {
            let error = read(&wrong).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn settings_round_trip_and_unknown_ones_are_refused() {
        for config in [
            Config::default(),
            Config {
                remote: Some("http://h:7081".into()),
                token_file: Some("admin.token".into()),
                signers: vec![
                    SignerConfig::SshAgent { role: KeyRole::Root, key: None },
                    SignerConfig::Command {
                        role: KeyRole::Pins,
                        command: vec!["sign".into(), "-x".into()],
                        key: "keys/pins.pub".into(),
                    },
                ],
            },
        ] {
            assert_eq!(toml::from_str::<Config>(&config.text().unwrap()).unwrap(), config);
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "remot = \"x\"\n").unwrap();
        let error = format!("{:#}", Config::load(dir.path()).unwrap_err());
        assert!(error.contains("unknown field `remot`"), "{error}");
    }
}
