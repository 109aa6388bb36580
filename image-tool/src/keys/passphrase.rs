//! Where passphrases come from: a terminal, a file, a file descriptor, an environment variable. Never an argument, which every
//! process on the machine could read.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, bail, ensure};
use signing::SecretKey;
use zeroize::Zeroizing;

use super::mode::check_mode;
use super::pkcs8;

/// Used when no option names a source.
const VARIABLE: &str = "BASCULE_PASSPHRASE";
/// Longest text with passphrases, in bytes.
const TEXT_MAX: u64 = 16 << 10;
/// How often a person may try.
const TRIES: usize = 3;

type Secret = Zeroizing<String>;

/// Options of every verb that may need a private key.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Passphrases of encrypted keys")]
pub(crate) struct PassphraseArgs {
    /// Take passphrases from this environment variable [default: BASCULE_PASSPHRASE, then the terminal]
    #[arg(long, global = true, value_name = "NAME", conflicts_with_all = ["passphrase_fd", "passphrase_file"])]
    passphrase_env: Option<String>,

    /// Read passphrases from this open file descriptor, one a line
    #[arg(long, global = true, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,

    /// Read passphrases from this file (mode 0600), one a line
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// The passphrases of this run, asked for when the first encrypted key is opened.
#[derive(Default)]
pub(crate) struct Passphrases {
    args: PassphraseArgs,
    /// From the source, or typed and found right; each is tried for each key.
    known: Mutex<Option<Vec<Secret>>>,
}

impl Passphrases {
    /// As the command line says.
    pub(crate) fn new(args: PassphraseArgs) -> Self {
        Self { args, known: Mutex::default() }
    }

    /// Opens the encrypted key `pem` from `path`.
    pub(super) fn open(&self, pem: &str, path: &Path) -> anyhow::Result<SecretKey> {
        let what = || format!("open the encrypted key {}", path.display());
        let mut guard = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (from, given) = self.given()?;
        let known = match &mut *guard {
            Some(known) => known,
            none => none.insert(given.read()?),
        };
        for passphrase in known.iter() {
            if let Some(key) = pkcs8::open(pem, passphrase).with_context(what)? {
                return Ok(key);
            }
        }
        if !matches!(given, Given::Nothing) {
            bail!("{}: wrong passphrase (from {from}), or the file is damaged", path.display());
        }
        for _ in 0..TRIES {
            let passphrase = ask(&format!("Passphrase of {}: ", path.display())).with_context(what)?;
            if let Some(key) = pkcs8::open(pem, &passphrase).with_context(what)? {
                known.push(passphrase);
                return Ok(key);
            }
            anstream::eprintln!("Wrong passphrase.");
        }
        bail!("{}: wrong passphrase {TRIES} times, or the file is damaged", path.display())
    }

    /// A passphrase for a new key; a person types it twice.
    pub(crate) fn choose(&self, path: &Path) -> anyhow::Result<Secret> {
        let (from, given) = self.given()?;
        let passphrase = match given {
            Given::Nothing => {
                let first = ask(&format!("New passphrase for {}: ", path.display()))?;
                let second = ask("The same again: ")?;
                ensure!(first == second, "the two passphrases differ; nothing was written");
                first
            }
            given => {
                // A descriptor can be read once, and several keys may be made in one run.
                let mut guard = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let known = match &mut *guard {
                    Some(known) => known,
                    none => none.insert(given.read()?),
                };
                match known.as_slice() {
                    [one] => one.clone(),
                    lines => bail!("{from}: expected one passphrase, found {} lines", lines.len()),
                }
            }
        };
        ensure!(!passphrase.is_empty(), "expected a passphrase, found an empty one; nothing was written");
        Ok(passphrase)
    }

    /// The source, and its name for messages.
    fn given(&self) -> anyhow::Result<(String, Given)> {
        let PassphraseArgs { passphrase_env, passphrase_fd, passphrase_file } = &self.args;
        Ok(if let Some(path) = passphrase_file {
            (path.display().to_string(), Given::File(path.clone()))
        } else if let Some(number) = passphrase_fd {
            (format!("file descriptor {number}"), Given::Descriptor(*number))
        } else if let Some(name) = passphrase_env {
            let text = std::env::var(name).ok();
            let text = text.with_context(|| format!("--passphrase-env {name}: there is no such variable"))?;
            (name.clone(), Given::Text(Zeroizing::new(text)))
        } else if let Ok(text) = std::env::var(VARIABLE) {
            (VARIABLE.to_owned(), Given::Text(Zeroizing::new(text)))
        } else {
            ("the terminal".to_owned(), Given::Nothing)
        })
    }
}

impl fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrases").field("args", &self.args).finish_non_exhaustive()
    }
}

/// What the options or the environment name.
enum Given {
    File(PathBuf),
    Descriptor(u32),
    Text(Secret),
    Nothing,
}

impl Given {
    /// The passphrases, one a line; none when a person is to be asked.
    fn read(&self) -> anyhow::Result<Vec<Secret>> {
        let text = match self {
            Self::File(path) => {
                let file =
                    File::open(path).with_context(|| format!("read passphrases from {}", path.display()))?;
                check_mode(path, "file with passphrases")?;
                read(file).with_context(|| format!("read passphrases from {}", path.display()))?
            }
            Self::Descriptor(number) => {
                let file = File::open(format!("/proc/self/fd/{number}"));
                file.map_err(anyhow::Error::from)
                    .and_then(read)
                    .with_context(|| format!("read passphrases from file descriptor {number}"))?
            }
            Self::Text(text) => text.clone(),
            Self::Nothing => return Ok(Vec::new()),
        };
        Ok(text.lines().map(|line| Zeroizing::new(line.to_owned())).collect())
    }
}

fn read(file: File) -> anyhow::Result<Secret> {
    let mut text = Zeroizing::new(String::new());
    file.take(TEXT_MAX + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= TEXT_MAX, "expected at most {TEXT_MAX} bytes, found more");
    Ok(text)
}

/// Asks the person at the terminal, without showing what is typed.
fn ask(prompt: &str) -> anyhow::Result<Secret> {
    let answer = rpassword::prompt_password(prompt);
    answer.map(Zeroizing::new).context(
        "there is no terminal to ask for a passphrase: name a source with --passphrase-file, --passphrase-fd, --passphrase-env or BASCULE_PASSPHRASE",
    )
}
