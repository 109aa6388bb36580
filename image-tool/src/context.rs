//! What every verb gets besides its own arguments.

use std::path::PathBuf;
use std::sync::Arc;

use crate::keys::Passphrases;
use crate::ui::Ui;

/// What every verb gets besides its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    /// The repository directory, which may not exist yet.
    pub(crate) repo: PathBuf,
    /// Where results and remarks go.
    pub(crate) ui: Ui,
    /// Passphrases of encrypted keys.
    pub(crate) passphrases: Arc<Passphrases>,
}
