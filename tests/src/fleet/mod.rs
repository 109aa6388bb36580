//! Drivers for the built programs: [`Repo`] is an admin with `imgtool`, [`Server`] is a running `imgserver`, and
//! [`nodes`] reads what the server knows about its nodes.

pub mod nodes;
pub mod repo;
pub mod server;

pub use nodes::Node;
pub use repo::Repo;
pub use server::Server;
