//! The server's keys as the store's repository uses them.

use image_format::repository::{Above, OnlineFault, OnlineSigner};
use signing::limits::ROOT_MAX_LEN;
use signing::metadata::{Envelope, Root, Signers};
use signing::online::{OnlineKeys, OnlineRole, Versions};
use signing::{TrustedFiles, UnixTime};

use super::{LastSigned, Plan};

/// Signs by a plan.
#[derive(Debug)]
pub struct Signer<'k> {
    /// The keys.
    pub keys: &'k OnlineKeys,
    /// For how long.
    pub plan: Plan,
    /// What was signed last, to see a clock that went back.
    pub last: Option<LastSigned>,
}

impl Signer<'_> {
    fn check(&self, files: &TrustedFiles, now: UnixTime) -> Result<(), OnlineFault> {
        let root = Envelope::parse("root", &files.root, ROOT_MAX_LEN).and_then(|envelope| envelope.read());
        listed(self.keys, &root.map_err(failed)?).map_err(OnlineFault::NotListed)?;
        self.plan.check_clock(self.last.as_ref(), now).map_err(failed)
    }
}

impl OnlineSigner for Signer<'_> {
    fn complete(
        &self,
        files: &TrustedFiles,
        above: Above,
        now: UnixTime,
    ) -> Result<TrustedFiles, OnlineFault> {
        self.check(files, now)?;
        let Above { snapshot, timestamp } = above;
        let above = Versions { snapshot, timestamp };
        self.keys.complete(files, above, self.plan.lifetimes(), now).map_err(failed)
    }

    fn renew_timestamp(&self, files: &TrustedFiles, now: UnixTime) -> Result<TrustedFiles, OnlineFault> {
        self.check(files, now)?;
        self.keys.renew_timestamp(files, self.plan.lifetimes(), now).map_err(failed)
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OnlineFault {
    OnlineFault::Failed(error.into())
}

/// Whether `root` lists these keys, so that what they sign counts.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn listed(keys: &OnlineKeys, root: &Root) -> Result<(), String> {
    let Err(_) = keys.check(root) else { return Ok(()) };
    let lacking = OnlineRole::ALL.into_iter().filter_map(|role| {
        let signers = match role {
            OnlineRole::Snapshot => &root.roles.snapshot,
            OnlineRole::Timestamp => &root.roles.timestamp,
        };
        lacking(keys, role, signers)
    });
    let lacking: Vec<String> = lacking.collect();
    Err(format!(
        "the root (version {}) does not list this server's keys: {}; their public halves are DIR/online/*.pub (`imgserver keys show` prints them), and `imgtool root prepare --add-key snapshot=FILE --add-key timestamp=FILE`, `root sign` and `root commit` list them",
        root.version,
        lacking.join("; ")
    ))
}

fn lacking(keys: &OnlineKeys, role: OnlineRole, signers: &Signers) -> Option<String> {
    let ours: Vec<String> = keys.public(role).iter().map(|key| key.id().to_string()).collect();
    let found =
        ours.iter().filter(|id| signers.keyids.iter().any(|listed| listed.as_str() == id.as_str())).count();
    let needed = usize::try_from(signers.threshold).unwrap_or(usize::MAX);
    let listed: Vec<&str> = signers.keyids.iter().map(signing::KeyId::as_str).collect();
    (found < needed).then(|| {
        format!(
            "{} is signed by {needed} of {}, the server has {}",
            role.as_str(),
            listed.join(", "),
            ours.join(", ")
        )
    })
}
