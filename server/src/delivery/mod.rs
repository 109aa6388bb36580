//! x
pub mod path;
pub mod ranges;
