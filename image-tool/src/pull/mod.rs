//! What somebody else has signed, brought into the local store.
//!
//! Metadata goes through the TUF client; then come the objects of images that are new here, in batches that stay when the rest
//! fails; the metadata is committed last.

mod fetch;
mod objects;
mod replace;
mod take_over;

pub(crate) use self::fetch::fetch;
pub(crate) use self::objects::{fetch_objects, fetch_patches};
pub(crate) use self::replace::replace;
pub(crate) use self::take_over::{take_over, trusted};
