//! The one threshold loop. Every signature check of the project goes through it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::TrustError;
use crate::hex;
use crate::key::{Key, KeyId};
use crate::metadata::{SignatureEntry, Signers};

/// Checks that `signers.threshold` distinct authorised keys signed `message` (canonical bytes).
///
/// A signature counts if its key id is authorised for the role, its key is Ed25519, and it verifies strictly. Anything else
/// (unknown ids, other key types, garbage) is passed over, because a repository in transition may carry it. Keys are counted
/// by their bytes, so that one key under two ids counts once.
///
/// # Errors
/// [`TrustError::DuplicateSignature`] if any key id stands twice, even when the threshold is met (spec 4.2.1);
/// [`TrustError::Key`] if an authorised key is unusable; [`TrustError::Threshold`] with the number of valid signatures.
pub fn verify_threshold(
    role: &str,
    message: &[u8],
    signatures: &[SignatureEntry],
    keys: &BTreeMap<KeyId, Key>,
    signers: &Signers,
) -> Result<(), TrustError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = signatures.iter().find(|signature| !seen.insert(&signature.keyid)) {
        let keyid = twice.keyid.chars().take(80).collect();
        return Err(TrustError::DuplicateSignature { role: role.to_owned(), keyid });
    }
    let mut valid = BTreeSet::new();
    for SignatureEntry { keyid, sig } in signatures {
        let authorised = signers.keyids.iter().find(|candidate| candidate.as_str() == keyid);
        let Some(key) = authorised.and_then(|keyid| keys.get(keyid)) else { continue };
        let public = key.public().map_err(|source| TrustError::Key { role: role.to_owned(), source })?;
        let (Some(public), Some(signature)) = (public, hex::decode::<64>(sig)) else { continue };
        if public.verifies(message, &signature) {
            valid.insert(*public.as_bytes());
        }
    }
    let valid = u32::try_from(valid.len()).unwrap_or(u32::MAX);
    // A threshold of 0 cannot be parsed; if one were built in memory it still needs a signature.
    let needed = signers.threshold.max(1);
    if valid < needed { Err(TrustError::Threshold { role: role.to_owned(), needed, valid }) } else { Ok(()) }
}
