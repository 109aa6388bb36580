//! The system calls that have no safe wrapper. All `unsafe` of the agent is here, one kind of call a file.

#![allow(unsafe_code)]

pub mod block;
pub mod dm;
pub mod kexec;
pub mod net;
pub mod process;
