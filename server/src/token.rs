//! The admin's bearer token: 32 random bytes as hex in `DIR/admin.token`, mode 0600.
//!
//! The file is the truth: it is read for every request, so that `imgserver token new` works at once and nothing has to be
//! restarted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::atomic::atomic_write;

/// Name of the file in the data directory.
pub const TOKEN_FILE: &str = "admin.token";
/// Digits of a token.
const TOKEN_LEN: usize = 64;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("token: cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("token: {}: expected {TOKEN_LEN} hexadecimal digits", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// The file can be read by others.
    #[error("token: {}: expected mode 0600, found {mode:04o}", path.display())]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system gave no random numbers.
    #[error("token: no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The token file of a data directory.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The token file in `data`.
    pub fn of(data: &Path) -> Self {
        Self { path: data.join(TOKEN_FILE) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the token.
    ///
    /// # Errors
    /// [`TokenError`], also for a file that others can read.
    pub fn read(&self) -> Result<String, TokenError> {
        let failed = |source| self.fault("read", source);
        let file = File::open(&self.path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Mode { path: self.path.clone(), mode });
        }
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text).map_err(failed)?;
        let token = text.trim_end();
        if token.len() == TOKEN_LEN && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(token.to_owned())
        } else {
            Err(TokenError::Content { path: self.path.clone() })
        }
    }

    /// Makes a token if there is no file yet; says whether it did.
    ///
    /// # Errors
    /// [`TokenError`]; an existing file is checked, never replaced.
    pub fn ensure(&self) -> Result<bool, TokenError> {
        match self.read() {
            Ok(_) => Ok(false),
            Err(TokenError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.renew().map(|_| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Replaces the token by a new one, atomically and durably.
    ///
    /// # Errors
    /// [`TokenError`]; the old token then still counts.
    pub fn renew(&self) -> Result<String, TokenError> {
        let mut random = [0; TOKEN_LEN / 2];
        getrandom::fill(&mut random).map_err(TokenError::Random)?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        atomic_write(&self.path, format!("{token}\n").as_bytes(), 0o600)
            .map_err(|source| self.fault("write", source))?;
        Ok(token)
    }

    fn fault(&self, operation: &'static str, source: io::Error) -> TokenError {
        TokenError::File { operation, path: self.path.clone(), source }
    }
}

/// Whether `given` is `token`, in a time that does not tell how much of it is right.
pub fn matches(given: &str, token: &str) -> bool {
    // The comparison of BLAKE3 hashes takes constant time, whatever the lengths.
    blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::of(dir.path());
        assert!(file.ensure().unwrap());
        let token = file.read().unwrap();
        assert!(!file.ensure().unwrap());
        assert_eq!(file.read().unwrap(), token);
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(file.renew().unwrap(), token);
        assert_ne!(file.read().unwrap(), token);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_readable_or_damaged_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::of(dir.path());
        file.renew().unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(file.ensure(), Err(TokenError::Mode { mode: 0o644, .. })));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(file.path(), "short\n").unwrap();
        assert!(matches!(file.ensure(), Err(TokenError::Content { .. })));
        assert_eq!(std::fs::read(file.path()).unwrap(), b"short\n");
    }

    #[test]
    fn only_the_same_text_matches() {
        assert!(matches("abc", "abc"));
        for other in ["", "ab", "abcd", "abC"] {
            assert!(!matches(other, "abc"));
        }
    }
}
