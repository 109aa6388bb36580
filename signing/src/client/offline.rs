//! Verifying stored files against each other, without a network and without a clock.

use super::{Client, TrustedFiles};
use crate::error::TrustError;

impl Client {
    /// Checks stored files for what does not change with time: signatures, versions, hashes. A slot that was verified before
    /// must boot although its metadata has expired since, so expiry does not count.
    ///
    /// Give it a [`Client::proof`]. All top-level files must be there. Of the delegated ones each that is stored must verify; a role that is not stored is
    /// [`TrustError::Missing`] once a search needs it. Stored files that nobody delegates to are dropped.
    ///
    /// # Errors
    /// The first file that does not fit.
    pub fn offline(trusted: TrustedFiles) -> Result<Client, TrustError> {
        let mut client = Self::start(trusted, None)?;
        client.accept_stored()?;
        client.load_stored_delegations()?;
        client.files = client.proof().ok_or(TrustError::NotRefreshed)?;
        Ok(client)
    }
}
