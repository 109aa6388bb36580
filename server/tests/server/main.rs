//! The server on real sockets of the loopback, with a tiny but really signed repository.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod admin;
mod boot;
mod care;
mod casync;
mod crowd;
mod delivery;
mod edge;
mod identity;
mod online;
mod program;
mod support;
mod upkeep;
