//! A store directory in place of a server.

use image_format::ObjectId;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::store::Store;
use initramfs_agent::disk::install::{ChunkSource, EntrySink, Refused, SourceError, Stopped};

/// Bytes of an object that are passed on at a time.
const PIECE: usize = 1 << 20;

/// The store; like a server it verifies nothing that it gives.
pub(crate) struct StoreSource<'s> {
    pub(crate) store: &'s Store,
}

impl StoreSource<'_> {
    fn read(
        &self,
        id: ObjectId,
        buffer: &mut Vec<u8>,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        let Some(extent) = self.store.open_object(id)? else {
            return Err(Refused(format!("object {id} is not in the store").into()).into());
        };
        let mut offset = 0;
        while offset < extent.len {
            let len = (extent.len - offset).min(PIECE as u64);
            buffer.resize(len as usize, 0);
            extent.read_at(buffer, offset)?;
            sink(buffer)?;
            offset += len;
        }
        Ok(())
    }
}

impl ChunkSource for StoreSource<'_> {
    fn fetch(
        &mut self,
        _index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError> {
        let mut buffer = Vec::new();
        for number in wanted {
            let object = entries.entries()[*number].object;
            self.read(object, &mut buffer, &mut |bytes| sink(*number, bytes))?;
        }
        Ok(())
    }

    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        self.read(object.id, &mut Vec::new(), sink)
    }
}
