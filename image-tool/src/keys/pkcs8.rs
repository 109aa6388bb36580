//! Encrypted private keys: PKCS#8 with PBES2 (RFC 8018), as OpenSSL 3 reads and writes them.
//!
//! Written: scrypt (N = 2^14, r = 8, p = 5, 16 bytes of salt) and AES-256-CBC. N is the most that OpenSSL takes without being
//! told to use more memory (32 MiB); p makes up for it. Read: scrypt or PBKDF2 with SHA-2, AES-CBC or AES-GCM.

use anyhow::{Context as _, bail, ensure};
use pkcs8::der::SecretDocument;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef};
use signing::SecretKey;
use zeroize::Zeroizing;

/// PEM label of an encrypted key.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// Most rounds of PBKDF2 that a file may ask for, about ten seconds: a hostile file must not stop the program.
const ROUNDS_MAX: u32 = 20_000_000;
/// Most memory that a file may ask for (scrypt: 128 · N · r), in bytes.
const MEMORY_MAX: u64 = 1 << 30;
/// Most work that a file may ask for, in units of that memory written p times.
const PASSES_MAX: u64 = 16;

/// scrypt: log2 of N, r, p.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// Whether `pem` holds a key that needs a passphrase.
pub(super) fn is_encrypted(pem: &str) -> bool {
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

/// Opens an encrypted key; `None` if the passphrase is not the right one (or the file is damaged: nobody can tell).
pub(super) fn open(pem: &str, passphrase: &str) -> anyhow::Result<Option<SecretKey>> {
    let (label, document) = SecretDocument::from_pem(pem).context("expected PEM")?;
    ensure!(label == ENCRYPTED, "expected `BEGIN {ENCRYPTED}`, found `BEGIN {label}`");
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
    let info = info.context("expected an encrypted PKCS#8 key of a supported kind (OpenSSL: `openssl pkcs8 -topk8 -v2 aes-256-cbc` writes one)")?;
    check_cost(&info.encryption_algorithm)?;
    let Ok(plain) = info.decrypt(passphrase) else { return Ok(None) };
    // Without the right passphrase, one decryption in 256 ends in a valid padding; what is inside is no key then.
    let Ok(plain_pem) = plain.to_pem("PRIVATE KEY", LineEnding::LF) else { return Ok(None) };
    if PrivateKeyInfoRef::try_from(plain.as_bytes()).is_err() {
        return Ok(None);
    }
    SecretKey::from_pem(&plain_pem).map(Some).context("expected an Ed25519 key inside")
}

/// The key as an encrypted PEM.
pub(super) fn seal(key: &SecretKey, passphrase: &str) -> anyhow::Result<Zeroizing<String>> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt).and_then(|()| getrandom::fill(&mut iv)).context("get random numbers")?;
    let (log_n, r, p) = SCRYPT;
    let cost = scrypt::Params::new(log_n, r, p).context("encrypt a key")?;
    let parameters = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).context("encrypt a key")?;
    let pem = key.to_pem()?;
    let (_, document) = SecretDocument::from_pem(&pem).context("encrypt a key")?;
    let plain = PrivateKeyInfoRef::try_from(document.as_bytes()).context("encrypt a key")?;
    let sealed = plain.encrypt_with_params(parameters, passphrase).context("encrypt a key")?;
    sealed.to_pem(ENCRYPTED, LineEnding::LF).context("encrypt a key")
}

/// Refuses a file that would keep the machine busy for ever or use up its memory.
fn check_cost(scheme: &EncryptionScheme) -> anyhow::Result<()> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        bail!(
            "expected an encrypted key by PBES2, found an older kind; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc`"
        );
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(pbkdf2) => {
            let rounds = pbkdf2.iteration_count;
            ensure!(rounds <= ROUNDS_MAX, "expected at most {ROUNDS_MAX} rounds of PBKDF2, found {rounds}");
        }
        Kdf::Scrypt(cost) => {
            let memory = cost.cost_parameter.saturating_mul(128 * u64::from(cost.block_size));
            ensure!(memory <= MEMORY_MAX, "expected scrypt with at most {MEMORY_MAX} bytes, found {memory}");
            let passes = u64::from(cost.parallelization);
            ensure!(passes <= PASSES_MAX, "expected scrypt with at most p = {PASSES_MAX}, found {passes}");
        }
        _ => bail!("expected scrypt or PBKDF2, found another derivation of the key"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl genpkey -algorithm ed25519 -aes-256-cbc -pass pass:secret` (OpenSSL 3.0.19): PBKDF2, 2048 rounds.
    const OPENSSL: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi1OYThYz+D4wICCAAw\nDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEvGv6hOtYxCgfbeYmsdLYoEQAxk\nsitz7T38tP7Gxo60JiaDbegmDGQwY1PFdvptfgMl2CUF3v5irNfqpWVpaCFnmLph\nawq3sWTTUZv3Gqf269U=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const OPENSSL_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA7QjOgwojVTjUj1dk5hvOiX7B1q/pwToeW/TNUn8MLbg=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn what_openssl_encrypted_is_read() {
        let key = open(OPENSSL, "secret").unwrap().unwrap();
        assert_eq!(key.public().to_pem().unwrap(), OPENSSL_PUBLIC);
        for wrong in ["", "Secret", "secret ", "secret\n"] {
            assert!(open(OPENSSL, wrong).unwrap().is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_only() {
        let key = SecretKey::from_seed(&[7; 32]).unwrap();
        let pem = seal(&key, "pass phrase, ü").unwrap();
        assert!(is_encrypted(&pem));
        assert_eq!(open(&pem, "pass phrase, ü").unwrap().unwrap().public(), key.public());
        assert!(open(&pem, "pass phrase, u").unwrap().is_none());
        assert_ne!(*seal(&key, "x").unwrap(), *seal(&key, "x").unwrap(), "salt");
    }

    /// The number of rounds (2 bytes, 0800) becomes a huge one (4 bytes): every length in front of it grows by two.
    #[test]
    fn a_file_that_asks_for_too_much_work_is_refused() {
        let (_, document) = SecretDocument::from_pem(OPENSSL).unwrap();
        let mut der = document.as_bytes().to_vec();
        let at = der.windows(4).position(|bytes| bytes == [2, 2, 8, 0]).unwrap();
        der.splice(at..at + 4, [2, 4, 0x05, 0xf5, 0xe1, 0x00]);
        // The outermost length takes two bytes, the others (algorithm, parameters, derivation, its parameters) one.
        for length in [2, 4, 17, 19, 32] {
            der[length] += 2;
        }
        let pem = SecretDocument::try_from(der).unwrap().to_pem(ENCRYPTED, LineEnding::LF).unwrap();
        let error = format!("{:#}", open(&pem, "secret").err().unwrap());
        assert!(error.contains("rounds of PBKDF2, found 100000000"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        for text in [
            "",
            "hello",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ] {
            assert!(open(text, "x").is_err(), "{text}");
        }
    }
}
