//! The verbs of `imgserver`, one file each.

pub mod completions;
pub mod man;
pub mod serve;
pub mod token;
