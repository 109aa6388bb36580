//! PID 1.

pub mod early;
