//! Making signed files.

use serde::Serialize;

use super::RepoError;
use crate::hex;
use crate::json::{JsonError, Value, to_value};
use crate::metadata::Signers;
use crate::secret::SecretKey;

/// `{"signatures": …, "signed": …}` as indented JSON: every key signs the canonical form of `signed`.
///
/// # Errors
/// `signed` holds what canonical JSON cannot say.
pub fn sign_envelope<T: Serialize>(signed: &T, keys: &[&SecretKey]) -> Result<Vec<u8>, JsonError> {
    let signed = to_value(signed)?;
    let message = signed.canonical();
    let signature = |key: &&SecretKey| {
        let (keyid, sig) = (key.public().id(), key.sign(&message));
        Value::from([("keyid", keyid.as_str().into()), ("sig", Value::String(hex::encode(&sig)))])
    };
    let signatures = Value::Array(keys.iter().map(signature).collect());
    let envelope = Value::from([("signatures", signatures), ("signed", signed)]);
    let mut file =
        serde_json::to_vec_pretty(&envelope).map_err(|error| JsonError::Shape(error.to_string()))?;
    file.push(b'\n');
    Ok(file)
}

/// The given keys that are among `signers`, each once; at least as many as needed.
pub(super) fn authorised<'k>(
    role: &str,
    keys: &'k [SecretKey],
    signers: &Signers,
) -> Result<Vec<&'k SecretKey>, RepoError> {
    let chosen: Vec<&SecretKey> = signers
        .keyids
        .iter()
        .filter_map(|keyid| keys.iter().find(|key| key.public().id() == *keyid))
        .collect();
    let found = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
    if found < signers.threshold {
        return Err(RepoError::NotEnoughKeys { role: role.to_owned(), needed: signers.threshold, found });
    }
    Ok(chosen)
}
