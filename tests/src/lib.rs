//! The harness: builds the three programs, drives them as processes, and runs nodes as virtual machines.
//!
//! It never links the programs: what it sees is what an admin and a node see. Everything it starts dies with it
//! ([`process`]), every wait has a limit, and a missing machine or tool is a failure, never a skip.

pub mod build;
pub mod conformance;
pub mod demo;
#[cfg(feature = "differential")]
pub mod differential;
pub mod edit;
pub mod fixture;
pub mod fleet;
pub mod http;
pub mod packages;
pub mod performance;
pub mod process;
pub mod python;
pub mod relay;
pub mod report;
pub mod toolchain;
pub mod verify;
pub mod view;
pub mod vm;
pub mod workspace;
