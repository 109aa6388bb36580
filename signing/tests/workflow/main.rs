//! The client workflow against hostile servers: every refusal by its specific error, with the trusted state as it was.

// Clippy takes the helpers of an integration test for production code.
#![allow(clippy::panic, clippy::unwrap_used)]

mod cases;
mod damage;
mod delegation;
mod evidence;
mod limits;
mod offline;
mod online;
mod proposal;
mod repository;
mod root;
mod site;
mod snapshot;
mod targets;
mod timestamp;
