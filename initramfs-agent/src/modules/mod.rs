//! Kernel modules: an explicit list first, then whatever the devices ask for, until nothing new appears.
//!
//! `/lib/modules/<release>/` holds uncompressed `.ko` files, `modules.dep` and `modules.alias` as depmod(8) writes them, and
//! `modules.load`, the image builder's list: one name a line, `#` begins a comment.

mod alias;
mod catalog;
mod load;

pub use alias::Aliases;
pub use catalog::Catalog;
pub use load::{Loaded, Loader};

/// Largest module list or alias file read, in bytes; Debian's largest is 1.6 MB.
pub const LIST_MAX: u64 = 8 << 20;
