//! An encrypted key file whose public half is known: opened when it is to sign, not before. Nobody is asked for the passphrase of
//! a key that is not needed.

use std::path::PathBuf;
use std::sync::Arc;

use signing::{PublicKey, Signer, SignerError};

use super::file::{Secrecy, load_secret, secrecy};
use super::passphrase::Passphrases;

/// The key file.
#[derive(Debug)]
struct Locked {
    path: PathBuf,
    public: PublicKey,
    passphrases: Arc<Passphrases>,
}

impl Locked {
    /// The key in `path`, which is `public`.
    fn new(path: PathBuf, public: PublicKey, passphrases: &Arc<Passphrases>) -> Self {
        Self { path, public, passphrases: Arc::clone(passphrases) }
    }
}

impl Signer for Locked {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let key =
            load_secret(&self.path, &self.passphrases).map_err(|error| SignerError(format!("{error:#}")))?;
        let found = key.public();
        if found == self.public {
            return Ok(key.sign(message));
        }
        Err(SignerError(format!(
            "{}: expected key {} as the public half beside it says, found {}",
            self.path.display(),
            self.public.id(),
            found.id()
        )))
    }
}

/// The signer of a key file: an encrypted one is opened when it signs.
pub(super) fn open(
    path: PathBuf,
    public: PublicKey,
    passphrases: &Arc<Passphrases>,
) -> anyhow::Result<Box<dyn Signer>> {
    Ok(match secrecy(&path)? {
        Secrecy::Encrypted => Box::new(Locked::new(path, public, passphrases)),
        Secrecy::Public | Secrecy::Plain => Box::new(load_secret(&path, passphrases)?),
    })
}
