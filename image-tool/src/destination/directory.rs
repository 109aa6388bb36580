//! A store directory on this machine: the same rules as the server's, without the server.

use std::path::Path;

use anyhow::Context as _;
use fleet_protocol::publish::RoleFile;
use fleet_protocol::{Names, Stored};
use image_format::ObjectId;
use image_format::repository::{Repository, Upload, load_view};
use image_format::store::{Lease, Store};

use super::{CONFLICT_ADVICE, Destination, NotCommitted};
use crate::clock;
use crate::source::Source;

/// A store that is written directly.
#[derive(Debug)]
pub(crate) struct Directory {
    name: String,
    store: Store,
    /// What is found there stays until all of it is published.
    _lease: Lease,
}

impl Directory {
    /// Opens the store at `dir`, and makes an empty one if the directory does not exist or is empty.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let name = dir.display().to_string();
        let store = Store::create(dir).with_context(|| format!("open store {name}"))?;
        let lease = store.lease().with_context(|| format!("begin to publish to {name}"))?;
        Ok(Self { name, store, _lease: lease })
    }
}

impl Destination for Directory {
    fn name(&self) -> &str {
        &self.name
    }

    fn names(&self) -> anyhow::Result<Names> {
        let repository = Repository::open(&self.store);
        let what = || format!("list metadata of {}", self.name);
        let metadata = repository.metadata_names().with_context(what)?;
        let targets = repository.target_names().with_context(what)?;
        // What cannot be verified is told by the commit, which can also mend it.
        let view = load_view(&self.store).ok().flatten();
        let current = view.iter().flat_map(|view| {
            let file = |(role, version): (&String, &u64)| {
                Some((role.clone(), RoleFile { version: *version, sha256: *view.digests.get(role)? }))
            };
            view.versions.iter().filter_map(file)
        });
        Ok(Names { metadata, targets, online: false, current: current.collect() })
    }

    fn missing(&self, ids: &[ObjectId]) -> anyhow::Result<Vec<ObjectId>> {
        let missing = self.store.missing(ids.iter().copied());
        missing.with_context(|| format!("look for objects in {}", self.name))
    }

    fn put(&self, objects: &[(ObjectId, Vec<u8>)]) -> anyhow::Result<Stored> {
        let what = || format!("store objects in {}", self.name);
        let mut batch = self.store.batch().with_context(what)?;
        let mut stored = Stored { stored: 0, present: 0 };
        for (id, bytes) in objects {
            let put = batch.put_expected(*id, bytes).with_context(what)?;
            *(if put.new { &mut stored.stored } else { &mut stored.present }) += 1;
        }
        batch.commit().with_context(what)?;
        Ok(stored)
    }

    fn source(&self) -> anyhow::Result<Source> {
        Source::open(&self.name)
    }

    fn commit(&self, upload: &Upload) -> Result<(), NotCommitted> {
        let now = clock::now().map_err(NotCommitted::Refused)?;
        match Repository::open(&self.store).commit(upload.clone(), now) {
            Ok(_) => Ok(()),
            Err(error) => {
                // A disk that fails may have failed after the last step.
                let kind = if error.is_internal() { NotCommitted::Unknown } else { NotCommitted::Refused };
                let what = if error.is_conflict() {
                    format!("conflict; {CONFLICT_ADVICE}")
                } else {
                    "not committed".to_owned()
                };
                Err(kind(anyhow::Error::new(error).context(format!("{}: {what}", self.name))))
            }
        }
    }
}
