//! Keys: in files, in an ssh-agent, behind a program; private and public; of our own and of other programs' making.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `role` | what a key signs |
//! | `rules` | whose keys the metadata trusts for what |
//! | `ring` | the keys of a repository: `keys/<role>.pem`, `keys/<role>-*.pem`, and `[[signer]]` of `bascule.toml` |
//! | `file` | one key file: mode 0600, its public half beside it (`root.pub` for `root.pem`) |
//! | `locked` | an encrypted key file that is opened when it is to sign |
//! | `mode` | files that only their owner may read |
//! | `pkcs8` | encryption with a passphrase, as OpenSSL does it |
//! | `passphrase` | where passphrases come from; never an argument |
//! | `public`, `openssh` | keys of OpenSSL, OpenSSH, signify, minisign |
//! | `online` | the public keys of a server that signs snapshot and timestamp |
//! | `agent`, `command` | signing without having the key |

mod agent;
mod command;
mod file;
mod locked;
mod mode;
mod online;
mod openssh;
mod passphrase;
mod pkcs8;
mod public;
mod report;
mod ring;
mod role;
mod rules;
mod signer;
mod wire;

pub(crate) use self::command::CommandKey;
pub(crate) use self::file::{KEY_MAX, Secrecy, load_public, load_secret, public_path, save, secrecy};
pub(crate) use self::online::online_keys;
pub(crate) use self::passphrase::{PassphraseArgs, Passphrases};
pub(crate) use self::report::KeyReport;
pub(crate) use self::ring::{KeyNames, KeyRing, Present, key_dir, sign_here};
pub(crate) use self::role::KeyRole;
pub(crate) use self::rules::{ceremony, check_role, rules, signers};
pub(crate) use self::signer::{SignerConfig, from_agent};
