//! What node, server and tools say to each other: JSON types, and the little that makes a node's word its own.
//!
//! Requests that change something are read strictly; reports tolerate fields and variants of newer agents.

pub mod boot_info;
pub mod identity;
pub mod join;
pub mod node;
pub mod publish;
pub mod report;

pub use boot_info::BootInfo;
pub use node::NodeView;
pub use publish::{Commit, Missing, MissingAnswer, Names, Stored};
pub use report::{Event, Health, Report, SlotReport, SlotStateName};
