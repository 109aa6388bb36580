//! Making signed files (features `online-keys` and `secret-keys`).

mod envelope;
mod error;

use crate::secret::SecretKey;

#[cfg(feature = "secret-keys")]
pub use self::envelope::sign_envelope;
pub(crate) use self::envelope::{render, signature_by};
pub use self::error::SignError;
use crate::metadata::Signers;

/// The given keys that are among `signers`, each once; at least as many as needed.
pub(crate) fn authorised<'k>(
    role: &str,
    keys: &'k [SecretKey],
    signers: &Signers,
) -> Result<Vec<&'k SecretKey>, SignError> {
    let chosen: Vec<&SecretKey> = signers
        .keyids
        .iter()
        .filter_map(|keyid| keys.iter().find(|key| key.public().id() == *keyid))
        .collect();
    let found = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
    if found < signers.threshold {
        return Err(SignError::NotEnoughKeys { role: role.to_owned(), needed: signers.threshold, found });
    }
    Ok(chosen)
}

/// The version after `version`.
pub(crate) fn following(role: &str, version: u64) -> Result<u64, SignError> {
    let next = version.checked_add(1).filter(|next| i64::try_from(*next).is_ok());
    next.ok_or_else(|| SignError::LastVersion { role: role.to_owned() })
}
