//! What is published: the store, the view of its signed metadata, and the cache of what batches ask for.
//!
//! The view is loaded at the start, after a commit, and when somebody else changed the store directory; requests share one
//! `Arc` of it and touch no disk for a decision.

pub mod lists;
pub mod published;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use image_format::repository::{CommitError, Committed, Repository, Upload, load_view};
use image_format::store::{Store, StoreError};
use signing::UnixTime;

use self::lists::Lists;
use self::published::{Published, Stamp};
use crate::files::Files;
use crate::http::error::Chain;

/// See the module.
#[derive(Debug)]
pub struct Content {
    store: Store,
    files: Files,
    lists: Lists,
    published: RwLock<Arc<Published>>,
    objects: AtomicU64,
    commit: std::sync::Mutex<()>,
}

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The store directory cannot be opened or made.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The data directory cannot be opened.
    #[error("cannot open the data directory")]
    Directory(#[from] io::Error),
}

impl Content {
    /// Opens the store in `data`, or makes one, and loads what is published. Blocks.
    ///
    /// # Errors
    /// [`ContentError`]. Metadata that does not verify is no error here: the server starts, says so in `/readyz`, and
    /// takes a correct publication.
    pub fn open(data: &Path) -> Result<Self, ContentError> {
        let store = Store::create(data)?;
        let content = Self {
            files: Files::below(data)?,
            store,
            lists: Lists::default(),
            published: RwLock::default(),
            objects: AtomicU64::new(0),
            commit: std::sync::Mutex::default(),
        };
        content.reload();
        Ok(content)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Files below the data directory.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Indexes and segment tables of published images.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Objects in the store; counted at the last reload, and with every upload.
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// `count` objects are new.
    pub fn stored(&self, count: u64) {
        self.objects.fetch_add(count, Ordering::Relaxed);
    }

    /// What is published now.
    pub fn published(&self) -> Arc<Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads what is published. Blocks.
    pub fn reload(&self) {
        // The stamp is taken first: a change during the load is seen by the next look.
        let stamp = Stamp::of(&self.store);
        let (view, problem) = match load_view(&self.store) {
            Ok(view) => (view.map(Arc::new), None),
            // Nodes go on with what was good; `/readyz` says that something is not.
            Err(error) => (self.published().view.clone(), Some(Chain(&error).to_string())),
        };
        match (&view, &problem) {
            (_, Some(reason)) => tracing::error!(%reason, "cannot load what is published"),
            (Some(view), _) => tracing::info!(images = view.images.len(), pins = view.pins.len(), "loaded"),
            (None, None) => tracing::info!("nothing is published yet"),
        }
        self.objects.store(self.store.list().filter(Result::is_ok).count() as u64, Ordering::Relaxed);
        let published = Arc::new(Published::new(view, problem, stamp));
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = published;
    }

    /// Loads again if somebody else has published into the directory. Blocks for one `stat` otherwise.
    pub fn reload_if_changed(&self) {
        if Stamp::of(&self.store) != self.published().stamp {
            let _one = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
            if Stamp::of(&self.store) != self.published().stamp {
                self.reload();
            }
        }
    }

    /// Publishes; one at a time. Blocks.
    ///
    /// # Errors
    /// As [`Repository::commit`]; then nothing changed.
    pub fn commit(&self, upload: Upload, now: UnixTime) -> Result<Committed, CommitError> {
        self.change(|repository| repository.commit(upload, now))
    }

    /// Changes what is published; one at a time. Blocks.
    ///
    /// # Errors
    /// As `change`, which must then have changed nothing.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&Repository<'_>) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let _one = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&Repository::open(&self.store))?;
        self.reload();
        Ok(changed)
    }
}
