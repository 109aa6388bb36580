//! The two metadata roles that the server signs itself: snapshot and timestamp.
//!
//! ```text
//! DIR/online/snapshot.pem, timestamp.pem      PKCS#8, mode 0600; snapshot-2.pem, … while keys are rotated
//! DIR/last-signed.json                        when the timestamp in force was signed
//!
//! commit (admin) ─→ Signer::complete ─→ image_format::repository, under its lock
//! task, on time  ─→ due(present, now) ─→ Signer::renew_timestamp or complete ─→ the same
//! ```
//!
//! The key files are read for every signature: a repaired file counts at once, and nothing has to be restarted. What goes wrong
//! stands in [`Online::problem`], for `/readyz`, until it went right.
//!
//! The clock is believed within limits: what was signed at a time that is still to come says that the clock is wrong, or was.
//! Nothing is signed then, because metadata signed in the past is expired for the nodes, and what is in force is not.

mod due;
mod keys;
mod last;
mod signer;
mod state;
mod task;

pub use self::due::{ClockError, Plan, PlanError, Present, due};
pub use self::keys::{KeyDir, KeyDirError, public};
pub use self::last::LastSigned;
pub use self::signer::{Signer, listed};
pub use self::state::{Online, OnlineSettings};
pub use self::task::run;
