//! How hard chunks are compressed, as the user says it.

use image_format::codec::Compression;

/// How hard chunks are compressed
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum CompressionChoice {
    /// As fast as the chunks are cut
    #[default]
    Fast,
    /// Minutes for an eighth fewer bytes; chunks that an earlier image has stay as they are
    Best,
}

impl From<CompressionChoice> for Compression {
    fn from(choice: CompressionChoice) -> Self {
        match choice {
            CompressionChoice::Fast => Self::Fast,
            CompressionChoice::Best => Self::Best,
        }
    }
}
