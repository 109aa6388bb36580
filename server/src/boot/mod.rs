//! The iPXE script: who asks, which image, and the text. Pure: everything it needs comes in as arguments.

pub mod choose;
pub mod host;
pub mod identity;
pub mod script;
