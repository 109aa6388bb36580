//! How much time goes into bytes.

/// How hard patches are compressed
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effort {
    /// Seconds: for trying out
    Fast,
    /// A minute or so
    #[default]
    Normal,
    /// Minutes: for images that many nodes fetch
    Best,
}

impl Effort {
    /// The compression level.
    pub(super) fn level(self) -> i32 {
        match self {
            Self::Fast => 9,
            Self::Normal => 12,
            Self::Best => 19,
        }
    }
}
