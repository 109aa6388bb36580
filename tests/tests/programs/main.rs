//! The built `imgtool` and `imgserver`, as an admin meets them: bad input, kills, full disks, damage.
//!
//! They need the built programs and the [fixture](bascule_tests::fixture); `cargo verify` makes both first.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod boot_script;
mod casync;
mod common;
mod damage;
mod enrolment;
mod export;
mod foreign_keys;
mod full_disk;
mod hostile;
mod keys;
mod online;
mod publish;
mod recipes;
mod versions;
