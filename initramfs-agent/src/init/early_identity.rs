//! A short look at the state partition, as soon as the disk is found: with the key that lies there also the first reports of a boot are
//! signed.

use std::path::Path;

use image_format::disk_layout::Partition;

use crate::boot;
use crate::disk::BootDisk;
use crate::identity::Identity;
use crate::say;

/// The key, if there is one already, with numbers for this boot's first reports.
pub(super) fn early(disk: Option<&BootDisk>) -> Option<Identity> {
    let device = disk?.partition_path(Partition::State);
    let at = Path::new(boot::RUN).join("identity");
    let found = boot::state::visit(&device, &at, |state| {
        // Let go of before the partition is unmounted.
        Identity::existing(state).map(|identity| identity.map(Identity::detached))
    });
    match found {
        Ok(None | Some(Ok(None))) => None,
        Ok(Some(Ok(Some(identity)))) => Some(identity),
        Ok(Some(Err(error))) => {
            say!("identity: {:#}; reports are not signed yet", anyhow::Error::new(error));
            None
        }
        Err(error) => {
            say!("identity: {error:#}; reports are not signed yet");
            None
        }
    }
}
