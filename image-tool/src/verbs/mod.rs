//! One file a verb: `Args` and `run`.

pub(crate) mod assign;
pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod pin;
pub(crate) mod pins;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod releases;
pub(crate) mod renew;
pub(crate) mod root;
pub(crate) mod sign;
pub(crate) mod token;
pub(crate) mod trust;
pub(crate) mod unassign;
pub(crate) mod unpin;
pub(crate) mod verify;
