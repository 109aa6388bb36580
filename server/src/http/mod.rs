//! What delivery and admin share: bodies, errors as answers, the line in the log.

pub mod answer;
pub mod body;
pub mod error;
pub mod pieces;
pub mod request_body;
pub mod tail;

pub use answer::Answer;
pub use body::Body;
pub use error::Error;
