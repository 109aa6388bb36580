//! From a verified slot to its running system.
//!
//! ```text
//! /run/bascule/lower    the slot's EROFS through dm-verity, read-only
//! /run/bascule/overlay  tmpfs: what is written outside of /var and the persistent parts of /etc
//! /run/bascule/state    the state partition
//! /sysroot              overlay of the first two; /sysroot/var overlay with its upper layer on the state partition
//! ```
//! Everything below `/run` moves along into the booted system, where it can be looked at.

mod bind;
mod identity;
pub mod kexec;
pub mod root;
pub mod state;
pub mod switch_root;
pub mod verity;

use std::path::Path;

/// Where the agent keeps its mounts and files.
pub const RUN: &str = "/run/bascule";

/// Where the new root is put together.
pub const SYSROOT: &str = "/sysroot";

/// The paths of one boot; others in tests.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// [`RUN`].
    pub run: &'a Path,
    /// [`SYSROOT`].
    pub sysroot: &'a Path,
}
