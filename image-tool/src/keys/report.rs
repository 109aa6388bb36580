//! What may be told about a key.

use std::path::PathBuf;

use serde::Serialize;
use signing::PublicKey;

use super::role::KeyRole;
use crate::ui::style::strong;
use crate::ui::table::properties;

/// What may be told about a key.
#[derive(Debug, Serialize)]
pub(crate) struct KeyReport {
    role: Option<KeyRole>,
    file: Option<PathBuf>,
    keyid: String,
    public_pem: String,
}

impl KeyReport {
    /// The public facts of a key.
    pub(crate) fn new(
        role: Option<KeyRole>,
        file: Option<PathBuf>,
        public: &PublicKey,
    ) -> anyhow::Result<Self> {
        Ok(Self { role, file, keyid: public.id().to_string(), public_pem: public.to_pem()? })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut pairs = vec![("key id", strong(&self.keyid))];
        pairs.extend(self.role.map(|role| ("role", role.to_string())));
        pairs.extend(self.file.as_ref().map(|file| ("file", file.display().to_string())));
        format!("{}\n{}", properties(&pairs), self.public_pem)
    }
}
