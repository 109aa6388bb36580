//! The built `imgtool` as a process, on repositories with made-up images.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod care;
mod ceremony;
mod chunk;
mod conflict;
mod identity;
mod image;
mod interop;
mod keys;
mod life;
mod look;
mod online;
mod passphrase;
mod patches;
mod place;
mod publish;
mod read;
mod server;
mod trust;
