//! The two slots.

use std::fmt;
use std::ops::Not;

use serde::{Deserialize, Serialize};

/// A partition that holds one root image with its verity tree. The other one is `!slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// Partition `bascule-a`.
    A,
    /// Partition `bascule-b`.
    B,
}

impl Slot {
    /// Both slots, in disk order.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The GPT partition name.
    pub const fn partition(self) -> &'static str {
        match self {
            Self::A => "bascule-a",
            Self::B => "bascule-b",
        }
    }
}

impl Not for Slot {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}
