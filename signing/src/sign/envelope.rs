//! `{"signatures": …, "signed": …}` as indented JSON.

use crate::hex;
use crate::json::{JsonError, Value};
use crate::metadata::SignatureEntry;
use crate::secret::SecretKey;

/// Every key signs the canonical form of `signed`.
///
/// # Errors
/// `signed` holds what canonical JSON cannot say.
#[cfg(feature = "secret-keys")]
pub fn sign_envelope<T: serde::Serialize>(signed: &T, keys: &[&SecretKey]) -> Result<Vec<u8>, JsonError> {
    let signed = crate::json::to_value(signed)?;
    let message = signed.canonical();
    let signatures: Vec<_> = keys.iter().map(|key| signature_by(key, &message)).collect();
    render(&signed, &signatures)
}

/// One entry of `signatures`.
pub(crate) fn signature_by(key: &SecretKey, message: &[u8]) -> SignatureEntry {
    SignatureEntry { keyid: key.public().id().to_string(), sig: hex::encode(&key.sign(message)) }
}

/// The file.
pub(crate) fn render(signed: &Value, signatures: &[SignatureEntry]) -> Result<Vec<u8>, JsonError> {
    let entry = |SignatureEntry { keyid, sig }: &SignatureEntry| {
        Value::from([("keyid", keyid.as_str().into()), ("sig", sig.as_str().into())])
    };
    let signatures = Value::Array(signatures.iter().map(entry).collect());
    let envelope = Value::from([("signatures", signatures), ("signed", signed.clone())]);
    let mut file =
        serde_json::to_vec_pretty(&envelope).map_err(|error| JsonError::Shape(error.to_string()))?;
    file.push(b'\n');
    Ok(file)
}
