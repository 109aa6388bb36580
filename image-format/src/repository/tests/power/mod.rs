//! Loss of power while objects are stored, metadata published and garbage collected.
//!
//! What the code does to the file system is noted, and a [`model`] says what a power cut may leave of it. Every cut is looked at,
//! with every legal loss where they are few: readers see what was published before or after, all of it whole, and the same again
//! completes.

mod model;
mod runs;
