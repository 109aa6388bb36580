//! Limits that hold before anything is parsed or verified.
//!
//! Each stops one way to make a client work or store without end. Raising one costs memory in the initramfs; lowering one below
//! what a real repository needs locks its clients out.

/// Longest root file (bytes). Endless data: the root is fetched before any signed length is known.
pub const ROOT_MAX_LEN: u64 = 512 * 1024;
/// Longest timestamp file (bytes). Endless data: nothing signs its length.
pub const TIMESTAMP_MAX_LEN: u64 = 16 * 1024;
/// Longest snapshot file (bytes), also when the timestamp declares more.
pub const SNAPSHOT_MAX_LEN: u64 = 2 * 1024 * 1024;
/// Longest targets file, top-level or delegated (bytes), also when the snapshot declares more.
pub const TARGETS_MAX_LEN: u64 = 5 * 1024 * 1024;
/// Most root versions followed in one refresh; a server that invents roots for ever is cut here.
pub const MAX_ROOT_ROTATIONS: u32 = 1024;
/// Most delegated roles visited for one search; bounds the requests that a delegation graph can cause.
pub const MAX_DELEGATIONS: usize = 32;
/// Deepest JSON nesting; protects the stack of a recursive reader.
pub const MAX_JSON_DEPTH: usize = 32;
/// Longest name of a delegated role (bytes); it becomes part of a file name.
pub const MAX_ROLE_NAME_LEN: usize = 128;
