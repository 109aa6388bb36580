//! The verbs of `imgserver`, one file each.

pub mod completions;
pub mod keys;
pub mod man;
pub mod serve;
pub mod token;
