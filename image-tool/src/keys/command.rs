//! Keys behind a program: the message on its standard input, the signature on its standard output as 64 bytes or 128 hex digits.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signing::PublicKey;

use signing::{Signer, SignerError};

/// How long the program may take: a person may have to type a PIN, or touch a token.
const PATIENCE: Duration = Duration::from_mins(2);
/// Most bytes read of its output.
const OUTPUT_MAX: u64 = 1 << 10;
/// How often it is looked at after its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// A key that a program signs with.
#[derive(Debug, Clone)]
pub(crate) struct CommandKey {
    public: PublicKey,
    /// Program and arguments; no shell reads them.
    command: Vec<String>,
    patience: Duration,
}

impl CommandKey {
    /// The key `public`, which `command` signs with.
    pub(crate) fn new(public: PublicKey, command: Vec<String>) -> Self {
        Self { public, command, patience: PATIENCE }
    }

    fn told(&self, what: &str) -> SignerError {
        SignerError(format!("signing command {:?}: {what}", self.command))
    }

    fn run(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(self.told("expected a program, found none"));
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| self.told(&format!("start it: {error}")))?;
        let mut child = Guard(child);
        let (mut input, output) = (child.0.stdin.take(), child.0.stdout.take());
        let message = message.to_vec();
        thread::spawn(move || {
            // A program may answer without reading everything; what it answers is checked.
            let _ = input.as_mut().map(|input| input.write_all(&message));
        });
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.map_or(Ok(0), |output| output.take(OUTPUT_MAX).read_to_end(&mut bytes));
            // The receiver is gone when time was up.
            let _ = send.send(read.map(|_| bytes));
        });
        let deadline = Instant::now() + self.patience;
        let late = || self.told(&format!("it took longer than {} s", self.patience.as_secs()));
        let bytes = receive.recv_timeout(self.patience).map_err(|_| late())?;
        let bytes = bytes.map_err(|error| self.told(&format!("read its output: {error}")))?;
        if bytes.len() as u64 == OUTPUT_MAX {
            return Err(self.told("its output is too long"));
        }
        loop {
            match child.0.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(bytes),
                Ok(Some(status)) => return Err(self.told(&format!("it failed with {status}"))),
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                Ok(None) => return Err(late()),
                Err(error) => return Err(self.told(&format!("wait for it: {error}"))),
            }
        }
    }
}

impl Signer for CommandKey {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let output = self.run(message)?;
        let found = output.len();
        decode(&output).ok_or_else(|| {
            self.told(&format!(
                "expected 64 bytes or 128 hex digits on its standard output, found {found} bytes"
            ))
        })
    }
}

/// The child does not outlive its use.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; then both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn decode(output: &[u8]) -> Option<[u8; 64]> {
    if let Ok(raw) = output.try_into() {
        return Some(raw);
    }
    let text = std::str::from_utf8(output).ok()?.trim_end();
    if text.len() != 128 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut raw = [0; 64];
    for (at, byte) in raw.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use signing::SecretKey;

    use super::*;

    fn key(script: &str) -> CommandKey {
        let public = SecretKey::from_seed(&[1; 32]).unwrap().public();
        CommandKey::new(public, ["/bin/sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn raw_and_hex_signatures_are_read() {
        assert_eq!(key("head -c 64").sign(&[7; 100]), Ok([7; 64]));
        let hex = "cat >/dev/null; i=0; while [ $i -lt 64 ]; do printf 0A; i=$((i+1)); done; echo";
        assert_eq!(key(hex).sign(b"x"), Ok([10; 64]));
        assert_eq!(decode(&[b'g'; 128]), None);
        assert_eq!(decode(&[0; 65]), None);
        assert_eq!(decode("é".repeat(64).as_bytes()), None);
    }

    #[test]
    fn programs_that_misbehave_are_named() {
        for (script, expected) in [
            ("exit 3", "exit status: 3"),
            ("head -c 64; exit 1", "exit status: 1"),
            ("true", "found 0 bytes"),
            ("cat /dev/zero", "its output is too long"),
        ] {
            let error = key(script).sign(&[7; 100]).unwrap_err().0;
            assert!(error.contains(expected), "{script}: {error}");
        }
        let mut slow = key("exec sleep 60");
        slow.patience = Duration::from_millis(50);
        let begun = Instant::now();
        assert!(slow.sign(b"x").unwrap_err().0.contains("longer than"));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let mut missing = key("");
        missing.command = vec!["/nonexistent/sign".into()];
        assert!(missing.sign(b"x").unwrap_err().0.contains("start it"));
        missing.command.clear();
        assert!(missing.sign(b"x").unwrap_err().0.contains("expected a program"));
    }
}
