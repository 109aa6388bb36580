//! Keys in an ssh-agent (draft-ietf-sshm-ssh-agent): the agent, or the token behind it, signs; the secret never comes here.
//!
//! An agent signs whatever bytes it is given. For an `ssh-ed25519` key with flags 0 that is the plain Ed25519 signature which TUF
//! wants. FIDO keys (`sk-…`) wrap what they sign and cannot be used.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use signing::PublicKey;

use super::wire::{ED25519, Reader, ed25519_blob, put_string};
use signing::{Signer, SignerError};

/// Where the agent listens.
const SOCKET: &str = "SSH_AUTH_SOCK";
/// Longest message of the protocol, in bytes, as OpenSSH has it.
const MESSAGE_MAX: usize = 256 << 10;
/// How long an answer may take: a person may have to confirm, or touch a token.
const PATIENCE: Duration = Duration::from_mins(1);

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// A key that an agent holds.
#[derive(Debug, Clone)]
pub(crate) struct AgentKey {
    public: PublicKey,
    /// What the agent says of the key, for people.
    pub(crate) comment: String,
    socket: PathBuf,
}

/// The Ed25519 keys of the agent that SSH_AUTH_SOCK names.
pub(crate) fn identities() -> anyhow::Result<Vec<AgentKey>> {
    let socket = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()).map(PathBuf::from);
    let socket = socket.with_context(|| format!("no ssh-agent: {SOCKET} is not set"))?;
    let answer = ask(&socket, &[REQUEST_IDENTITIES])
        .with_context(|| format!("list the keys of the ssh-agent at {}", socket.display()))?;
    let keys = parse_identities(&answer)
        .context("list the keys of the ssh-agent: expected a list, found something else")?;
    let key = |(blob, comment): (&[u8], &[u8])| {
        let public = PublicKey::from_bytes(&ed25519_blob(blob)?).ok()?;
        let comment = String::from_utf8_lossy(comment).chars().filter(|c| !c.is_control()).take(80).collect();
        Some(AgentKey { public, comment, socket: socket.clone() })
    };
    Ok(keys.into_iter().filter_map(key).collect())
}

impl Signer for AgentKey {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let told = |error: anyhow::Error| SignerError(format!("ssh-agent, key {}: {error:#}", self.comment));
        let answer = sign_request(&self.public, message)
            .and_then(|request| ask(&self.socket, &request))
            .map_err(told)?;
        let signature = parse_signature(&answer);
        signature.ok_or_else(|| {
            SignerError(format!(
                "ssh-agent, key {}: expected an Ed25519 signature, found something else",
                self.comment
            ))
        })
    }
}

/// Sends one message and reads the answer.
fn ask(socket: &PathBuf, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).context("connect")?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .context("connect")?;
    let mut request = Vec::with_capacity(message.len() + 4);
    put_string(&mut request, message).context("send a message: it is too long")?;
    ensure!(
        request.len() <= MESSAGE_MAX,
        "expected at most {MESSAGE_MAX} bytes to sign, found {}; sign this with a key file",
        message.len()
    );
    stream.write_all(&request).context("send a message")?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("read the answer")?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    ensure!(
        (1..=MESSAGE_MAX).contains(&length),
        "expected an answer of at most {MESSAGE_MAX} bytes, found {length}"
    );
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).context("read the answer")?;
    if answer[0] == FAILURE {
        bail!("it refused (is the key still there, and was it confirmed?)");
    }
    Ok(answer)
}

fn parse_identities(answer: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut reader = Reader(answer);
    if reader.byte()? != IDENTITIES_ANSWER {
        return None;
    }
    let count = reader.number()?;
    // Every key takes eight bytes at least, so a lie about their number ends with the message.
    let keys = (0..count).map(|_| Some((reader.string()?, reader.string()?))).collect::<Option<_>>()?;
    reader.is_empty().then_some(keys)
}

fn sign_request(public: &PublicKey, message: &[u8]) -> anyhow::Result<Vec<u8>> {
    let build = || {
        let mut blob = Vec::new();
        put_string(&mut blob, ED25519)?;
        put_string(&mut blob, public.as_bytes())?;
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, &blob)?;
        put_string(&mut request, message)?;
        // Flags: none; they choose among RSA signatures only.
        request.extend([0; 4]);
        Some(request)
    };
    build().context("the message is too long")
}

fn parse_signature(answer: &[u8]) -> Option<[u8; 64]> {
    let mut reader = Reader(answer);
    if reader.byte()? != SIGN_RESPONSE {
        return None;
    }
    let mut signature = Reader(reader.string()?);
    if !reader.is_empty() || signature.string()? != ED25519 {
        return None;
    }
    let bytes = signature.string()?.try_into().ok()?;
    signature.is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use proptest::prelude::*;
    use signing::SecretKey;

    use super::*;

    fn answer(kind: u8, strings: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![kind];
        for string in strings {
            put_string(&mut bytes, string).unwrap();
        }
        bytes
    }

    /// An agent that gives one answer to whatever it is asked.
    fn agent(reply: Vec<u8>) -> (tempfile::TempDir, AgentKey) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&reply).unwrap();
        });
        let public = SecretKey::from_seed(&[1; 32]).unwrap().public();
        (dir, AgentKey { public, comment: "test".into(), socket })
    }

    #[test]
    fn answers_that_are_no_signature_are_refused() {
        let framed = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let signature = answer(0, &[ED25519, &[7; 64]]);
        let good = answer(SIGN_RESPONSE, &[&signature[1..]]);
        let (_dir, key) = agent(framed(&good));
        assert_eq!(key.sign(b"x"), Ok([7; 64]));
        let short = answer(0, &[ED25519, &[7; 63]]);
        let other = answer(0, &[b"ssh-rsa", &[7; 64]]);
        for (reply, expected) in [
            (framed(&[FAILURE]), "it refused"),
            (framed(&answer(SIGN_RESPONSE, &[&short[1..]])), "expected an Ed25519 signature"),
            (framed(&answer(SIGN_RESPONSE, &[&other[1..]])), "expected an Ed25519 signature"),
            (framed(&[SIGN_RESPONSE]), "expected an Ed25519 signature"),
            (vec![0xff; 8], "expected an answer of at most 262144 bytes, found 4294967295"),
            (vec![0; 4], "found 0"),
            (framed(&good)[..20].to_vec(), "read the answer"),
        ] {
            let (_dir, key) = agent(reply);
            let error = key.sign(b"x").unwrap_err().0;
            assert!(error.contains(expected) && error.contains("key test"), "{error}");
        }
        let (_dir, key) = agent(Vec::new());
        assert!(key.sign(&vec![0; MESSAGE_MAX]).unwrap_err().0.contains("expected at most"));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_identities(&bytes);
            let _ = parse_signature(&bytes);
        }
    }

    #[test]
    fn identities_are_counted() {
        let mut list = vec![IDENTITIES_ANSWER, 0, 0, 0, 2];
        for string in [b"blob1".as_slice(), b"one", b"blob2", b"two"] {
            put_string(&mut list, string).unwrap();
        }
        assert_eq!(parse_identities(&list).unwrap()[1], (b"blob2".as_slice(), b"two".as_slice()));
        list[4] = 3;
        assert_eq!(parse_identities(&list), None);
        list[1] = 0xff;
        assert_eq!(parse_identities(&list), None);
    }
}
