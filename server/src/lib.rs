//! `imgserver`: content store, signed metadata, netboot scripts and the inventory of nodes, over HTTP.
#![allow(missing_docs)]
pub mod boot;
pub mod delivery;
pub mod files;
pub mod fleet;
pub mod http;
pub mod metrics;
pub mod net;
