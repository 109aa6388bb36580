//! The one threshold loop. Every signature check of the project goes through it.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::TrustError;
use crate::key::{Key, KeyId, Verifier};
use crate::metadata::{SignatureEntry, Signers};

/// Checks that `signers.threshold` distinct authorised keys signed `message` (canonical bytes).
///
/// A signature counts if its key id is authorised for the role, its key is understood (Ed25519), and it verifies strictly. Anything else
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
        let verifier =
            Verifier::of(key).map_err(|source| TrustError::Key { role: role.to_owned(), source })?;
        if let Some(verifier) = verifier.filter(|verifier| verifier.verifies(message, sig)) {
            valid.insert(verifier.identity());
        }
    }
    let valid = u32::try_from(valid.len()).unwrap_or(u32::MAX);
    // A threshold of 0 cannot be parsed; if one were built in memory it still needs a signature.
    let needed = signers.threshold.max(1);
    if valid < needed { Err(TrustError::Threshold { role: role.to_owned(), needed, valid }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::verify_threshold;
    use crate::error::TrustError;
    use crate::hex;
    use crate::json::Value;
    use crate::key::Key;
    use crate::metadata::{SignatureEntry, Signers};
    use crate::secret::SecretKey;

    const MESSAGE: &[u8] = b"message";

    fn keys(count: u8) -> Vec<SecretKey> {
        (1..=count).map(|seed| SecretKey::from_seed(&[seed; 32]).unwrap()).collect()
    }

    fn signature(key: &SecretKey) -> SignatureEntry {
        SignatureEntry { keyid: key.public().id().to_string(), sig: hex::encode(&key.sign(MESSAGE)) }
    }

    fn check(known: &[SecretKey], threshold: u32, signatures: &[SignatureEntry]) -> Result<(), TrustError> {
        let public: Vec<_> = known.iter().map(SecretKey::public).collect();
        let table = public.iter().map(|key| (key.id(), key.to_key())).collect();
        verify_threshold("role", MESSAGE, signatures, &table, &Signers::new(&public, threshold))
    }

    fn too_few(needed: u32, valid: u32) -> Result<(), TrustError> {
        Err(TrustError::Threshold { role: "role".into(), needed, valid })
    }

    #[test]
    fn distinct_keys_are_counted() {
        let keys = keys(3);
        let all: Vec<_> = keys.iter().map(signature).collect();
        assert_eq!(check(&keys, 2, &all[..2]), Ok(()));
        assert_eq!(check(&keys, 2, &all), Ok(()));
        assert_eq!(check(&keys, 2, &all[..1]), too_few(2, 1));
        assert_eq!(check(&keys, 1, &[]), too_few(1, 0));
        assert_eq!(check(&keys, 0, &[]), too_few(1, 0));
        assert_eq!(check(&keys[..2], 3, &all), too_few(3, 2));
    }

    #[test]
    fn twice_the_same_is_refused_even_if_enough() {
        let keys = keys(2);
        let twice = [signature(&keys[0]), signature(&keys[0])];
        for threshold in [1, 2] {
            assert!(matches!(check(&keys, threshold, &twice), Err(TrustError::DuplicateSignature { .. })));
        }
    }

    /// The same key under two ids (its object carries another field) is still one key.
    #[test]
    fn one_key_under_two_ids_counts_once() {
        let key = &keys(1)[0];
        let Value::Object(mut members) = crate::json::to_value(&key.public().to_key()).unwrap() else {
            panic!()
        };
        members.insert("x".into(), Value::Null);
        let second: Key = crate::json::from_value(&Value::Object(members)).unwrap();
        let (first_id, second_id) = (key.public().id(), second.id());
        let signatures = [&first_id, &second_id]
            .map(|keyid| SignatureEntry { keyid: keyid.to_string(), sig: signature(key).sig });
        let table = BTreeMap::from([(first_id.clone(), key.public().to_key()), (second_id.clone(), second)]);
        let signers = Signers { keyids: vec![first_id, second_id], threshold: 2 };
        assert_eq!(verify_threshold("role", MESSAGE, &signatures, &table, &signers), too_few(2, 1));
    }

    #[test]
    fn keys_that_are_not_authorised_or_not_listed_do_not_count() {
        let keys = keys(2);
        let signatures: Vec<_> = keys.iter().map(signature).collect();
        assert_eq!(check(&keys[..1], 2, &signatures), too_few(2, 1));
        let signers = Signers::new(&[keys[0].public()], 1);
        let outcome = verify_threshold("role", MESSAGE, &signatures, &BTreeMap::new(), &signers);
        assert_eq!(outcome, too_few(1, 0));
    }

    #[test]
    fn signature_of_another_message_does_not_count() {
        let keys = keys(1);
        let sig = hex::encode(&keys[0].sign(b"other"));
        assert_eq!(check(&keys, 1, &[SignatureEntry { sig, ..signature(&keys[0]) }]), too_few(1, 0));
    }
}
