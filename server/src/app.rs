//! What both listeners share.

use std::sync::Arc;

use signing::UnixTime;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::boot::host::UrlSettings;
use crate::clock::Clock;
use crate::content::Content;
use crate::fleet::Inventory;
use crate::http::Error;
use crate::metrics::Metrics;
use crate::online::Online;
use crate::ready::Ready;
use crate::token::TokenFile;

/// Uploads (packs and commits) at a time: each may hold one object of 64 MiB in memory.
const UPLOADS_MAX: usize = 4;

/// What both listeners share.
#[derive(Debug)]
pub struct App {
    /// Store and signed metadata.
    pub content: Content,
    /// Nodes.
    pub inventory: Inventory,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The admin's token.
    pub token: TokenFile,
    /// URLs for scripts.
    pub urls: UrlSettings,
    /// Can it serve?
    pub ready: Ready,
    /// Snapshot and timestamp.
    pub online: Online,
    uploads: Semaphore,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        content: Content,
        inventory: Inventory,
        metrics: Arc<Metrics>,
        token: TokenFile,
        urls: UrlSettings,
        online: Online,
    ) -> Arc<Self> {
        let uploads = Semaphore::new(UPLOADS_MAX);
        Arc::new(Self { content, inventory, metrics, token, urls, ready: Ready::default(), online, uploads })
    }

    /// A place for an upload.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn upload_place(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.uploads.try_acquire().map_err(|_| Error::Busy("too many uploads at once".into()))
    }

    /// Runs a blocking step that needs the shared parts on a thread for such.
    ///
    /// # Errors
    /// As `step`; a panic in it is an internal error.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        step: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || step(&app)).await.map_err(Error::internal)?
    }

    /// Writes noted boot requests, looks for publications by others, and lets go of packs that others have collected. Blocks.
    pub fn tend(&self) {
        self.content.reload_if_changed();
        if let Err(error) = self.content.store().look_again() {
            tracing::error!(reason = %crate::http::error::Chain(&error), "cannot look for packs");
        }
        let published = self.content.published();
        if let Err(error) = self.inventory.flush(|node| published.standing(node)) {
            tracing::error!(reason = %crate::http::error::Chain(&error), "boot requests are not recorded");
        }
    }
}

/// The time.
pub fn now() -> UnixTime {
    Clock::default().now()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::fleet::sqlite::Sqlite;
    use crate::online::OnlineSettings;

    /// An app in `dir`, with nothing in it.
    pub(crate) fn app(dir: &Path) -> Arc<App> {
        let kv = Sqlite::open(&dir.join("fleet.db")).unwrap();
        let inventory = Inventory::open(Arc::new(kv)).unwrap();
        let urls = UrlSettings { delivery: None, admin: None, admin_port: 7081 };
        let online = Online::new(dir, OnlineSettings::default());
        App::new(Content::open(dir).unwrap(), inventory, Metrics::new(), TokenFile::of(dir), urls, online)
    }
}
