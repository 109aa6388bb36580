//! This node's key and the numbers of what it signs, on the state partition.
//!
//! ```text
//! <state>/bascule/node.key       the secret key, 0600, made once
//! <state>/bascule/node.number    no number below this one may be used again
//! <state>/bascule/node.enrolled  what the server said last
//! <state>/bascule/lock           held by who signs
//! ```
//! Each file is replaced as a whole: written beside its place, made durable, renamed. A cut leaves the old or the new one.
//!
//! Numbers are reserved in steps: the file rises before the first number of a step is used. A cut wastes the rest of a step and never
//! brings a number back. The number file is written before the key file, so a key without it is damage, and a new key is made: a key
//! whose numbers are not known would look like a stolen one.
//!
//! Nothing here holds up a boot: without a key reports go out unsigned, and say so on the console.

mod enrol;
mod shelf;
mod status;
mod verb;

use std::fmt::Write as _;
use std::path::Path;

use fleet_protocol::Report;
use fleet_protocol::identity::{BootId, Enrol, Joining, Kind, NodeKey, NodePublicKey, SignedReport};
use fleet_protocol::join::JoinToken;
use image_format::{NodeId, Sha256};
use zeroize::Zeroizing;

pub use self::enrol::{Enroller, token_for};
pub use self::shelf::{Dir, Shelf, ShelfError};
pub use self::status::{Status, public_key, status};
pub use self::verb::{describe, renew, show};

/// Directory on the state partition.
pub const DIR: &str = "bascule";

/// The state partition in the booted system, and in the initramfs once it is mounted.
pub const STATE: &str = "/run/bascule/state";

/// Where the agent in the initramfs leaves the fingerprint of the root it trusts, for the one in the booted system.
pub const ROOT_DIGEST: &str = "/run/bascule/root.sha256";

/// How many numbers are reserved at once: one write an hour at a report a minute.
const STEP: u64 = 64;

const KEY: &str = "node.key";
const NUMBER: &str = "node.number";
const NUMBER_WORD: &str = "bascule-node-number-1 ";

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The operating system gave no random numbers.
    #[error("node key: no random numbers: {0}")]
    Random(std::io::Error),
    /// The seed gave no usable key.
    #[error("node key")]
    Key(#[source] fleet_protocol::identity::NodeKeyError),
    /// The reserved numbers are used up, and the state partition is not there to reserve more.
    #[error("node key: no numbers left before the state partition is mounted")]
    NoNumbers,
    /// 2^64 messages.
    #[error("node key: its numbers are used up; make a new one with `imgagent identity --new`")]
    EndOfNumbers,
    /// A message that cannot be written as JSON.
    #[error("node key: cannot write the message")]
    Json(#[from] serde_json::Error),
}

/// The node's key, and numbers that are its own.
#[derive(Debug)]
pub struct Identity<S = Dir> {
    key: NodeKey,
    /// The next number, and the first that is not reserved.
    next: u64,
    end: u64,
    boot: BootId,
    /// Where more numbers are reserved; none while the state partition is not mounted.
    shelf: Option<S>,
    /// Why the key was made now; empty for a key that was there.
    made: String,
}

/// Fills a buffer with random bytes.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]) -> std::io::Result<()>;

impl Identity {
    /// The identity on a mounted state partition; made when there is none.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(state: &Path) -> Result<Self, IdentityError> {
        Self::on(Dir::open(&state.join(DIR))?, &mut kernel_random, boot_id())
    }

    /// The identity on a mounted state partition; none when there is none yet.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn existing(state: &Path) -> Result<Option<Self>, IdentityError> {
        let dir = state.join(DIR);
        if !dir.join(KEY).is_file() {
            return Ok(None);
        }
        Self::open(state).map(Some)
    }

    /// Replaces the key by a new one.
    ///
    /// # Errors
    /// [`IdentityError`]; the old one is then still there.
    pub fn renew(state: &Path) -> Result<Self, IdentityError> {
        let shelf = Dir::open(&state.join(DIR))?;
        make(shelf, &mut kernel_random, boot_id(), "an admin asked for a new key".to_owned())
    }
}

impl<S: Shelf> Identity<S> {
    /// The identity on `shelf`; made when there is none, or when it is damaged.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn on(shelf: S, random: Random<'_>, boot: BootId) -> Result<Self, IdentityError> {
        let Some(bytes) = shelf.read(KEY)?.map(Zeroizing::new) else {
            return make(shelf, random, boot, "the state partition had none".to_owned());
        };
        let Some(key) = std::str::from_utf8(&bytes).ok().and_then(NodeKey::from_text) else {
            return make(shelf, random, boot, "the file of the old one is damaged".to_owned());
        };
        let number = shelf.read(NUMBER)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(next) = number.and_then(|text| parse_number(&text)) else {
            return make(shelf, random, boot, "the numbers of the old one are lost".to_owned());
        };
        let mut identity = Self { key, next, end: next, boot, shelf: Some(shelf), made: String::new() };
        identity.reserve()?;
        Ok(identity)
    }

    /// The public key.
    pub fn public(&self) -> NodePublicKey {
        self.key.public()
    }

    /// Why the key was made now; empty for a key that was there.
    pub fn made(&self) -> &str {
        &self.made
    }

    /// Lets go of the state partition, so that it can be unmounted; what is reserved can still be used.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { shelf: None, ..self }
    }

    /// Where its files are.
    pub fn shelf(&self) -> Option<&S> {
        self.shelf.as_ref()
    }

    /// A number that was never used and never will be again.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn number(&mut self) -> Result<u64, IdentityError> {
        if self.next == self.end {
            self.reserve()?;
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// A report, signed.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn report(&mut self, report: &Report) -> Result<Vec<u8>, IdentityError> {
        let signed = SignedReport { number: self.number()?, boot: self.boot.clone(), report: report.clone() };
        Ok(self.key.seal(Kind::Report, &serde_json::to_vec(&signed)?))
    }

    /// The wish to be taken in, signed. `before` is the key that the node had when it was taken in before.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn enrol(
        &mut self,
        node: &NodeId,
        root: Sha256,
        token: Option<&JoinToken>,
        before: Option<&str>,
    ) -> Result<Vec<u8>, IdentityError> {
        let mut reason = String::new();
        if !self.made.is_empty() {
            reason.push_str(&self.made);
        }
        if let Some(before) = before.filter(|before| *before != self.public().to_string()) {
            let comma = if reason.is_empty() { "" } else { "; " };
            let short: String = before.chars().take(16).collect();
            write!(reason, "{comma}this disk had key {short} before")
                .expect("writing to a string cannot fail");
        }
        let join = token.map(|token| Joining {
            id: token.id,
            group: token.group.clone(),
            proof: token.proof(node, &self.public()),
        });
        let enrol =
            Enrol { node: node.clone(), number: self.number()?, boot: self.boot.clone(), root, join, reason };
        Ok(self.key.seal(Kind::Enrol, &serde_json::to_vec(&enrol)?))
    }

    /// The server refused what this key signed: what it said before does not hold any more, and it is asked again.
    pub fn doubt(&self) {
        if let Some(shelf) = &self.shelf
            && let Err(error) = Status::remove(shelf)
        {
            crate::say!("identity: {:#}", anyhow::Error::new(error));
        }
    }

    fn reserve(&mut self) -> Result<(), IdentityError> {
        let shelf = self.shelf.as_ref().ok_or(IdentityError::NoNumbers)?;
        let end = self.end.checked_add(STEP).ok_or(IdentityError::EndOfNumbers)?;
        shelf.write(NUMBER, number_text(end).as_bytes())?;
        self.end = end;
        Ok(())
    }
}

fn make<S: Shelf>(
    shelf: S,
    random: Random<'_>,
    boot: BootId,
    made: String,
) -> Result<Identity<S>, IdentityError> {
    let mut seed = Zeroizing::new([0; 32]);
    random(&mut *seed).map_err(IdentityError::Random)?;
    let key = NodeKey::from_seed(&seed).map_err(IdentityError::Key)?;
    // The numbers of a new key begin at 1; with the old key still there, a cut in between shows lost numbers, not used ones.
    let (next, end) = (1, 1 + STEP);
    shelf.remove(KEY)?;
    shelf.write(NUMBER, number_text(end).as_bytes())?;
    shelf.write(KEY, key.to_text().as_bytes())?;
    Ok(Identity { key, next, end, boot, shelf: Some(shelf), made })
}

fn number_text(number: u64) -> String {
    format!("{NUMBER_WORD}{number}\n")
}

fn parse_number(text: &str) -> Option<u64> {
    let number = text.strip_prefix(NUMBER_WORD)?.strip_suffix('\n')?.parse().ok()?;
    // One spelling: no sign, no leading zeros.
    (number > 0 && number_text(number) == text).then_some(number)
}

fn kernel_random(buffer: &mut [u8]) -> std::io::Result<()> {
    let read = rustix::rand::getrandom(&mut *buffer, rustix::rand::GetRandomFlags::empty())?;
    // The kernel gives up to 256 bytes at once.
    if read == buffer.len() { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// The kernel's id of this boot. Without one, a word that no other machine has either.
fn boot_id() -> BootId {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let parsed = read.and_then(|text| text.trim_end().parse().ok());
    parsed.unwrap_or_else(|| {
        format!("{:x}", crate::http::retry::seed()).parse().expect("a number in hexadecimal is a boot id")
    })
}

#[cfg(test)]
mod tests;
