//! The node's key in the booted system.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use image_format::NodeId;
use image_format::record::Record;

use crate::cmdline::{CMDLINE_MAX, Cmdline};
use crate::disk::BootDisk;
use crate::http::BaseUrl;
use crate::identity::{Enroller, Identity, ROOT_DIGEST};
use crate::say;

/// The identity on the mounted state partition. Shows its key to the server once, unless the server has approved it already; none,
/// after a line on the console, where there is nothing to sign with.
pub(super) fn take(
    state: &Path,
    admin: Option<&BaseUrl>,
    node: &NodeId,
    disk: &BootDisk,
    record: &mut Record,
) -> Option<Identity> {
    // A key in memory would be another one at each boot.
    if !is_mounted(state) {
        say!("identity: {} is not mounted: reports are not signed", state.display());
        return None;
    }
    let mut identity = match Identity::open(state) {
        Ok(identity) => identity,
        Err(error) => {
            say!("identity: {:#}; reports are not signed", anyhow::Error::new(error));
            return None;
        }
    };
    let root = std::fs::read_to_string(ROOT_DIGEST).ok().and_then(|text| text.trim_end().parse().ok());
    if let (Some(admin), Some(root)) = (admin, root) {
        let line = std::fs::read("/proc/cmdline").unwrap_or_default();
        let cmdline = Cmdline::parse(&String::from_utf8_lossy(&line[..line.len().min(CMDLINE_MAX)]));
        let enroller = Enroller { admin, node, root, token: cmdline.join.as_ref() };
        if let Some(enrolled) = enroller.ask(&mut identity, record) {
            let mut next = record.clone();
            next.enrolled = Some(enrolled);
            match disk.save_record(&next) {
                Ok(()) => *record = next,
                Err(error) => say!(
                    "identity: {:#}; the enrolment is not remembered on the disk",
                    anyhow::Error::new(error)
                ),
            }
        }
    }
    Some(identity)
}

fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let (Some(own), Some(parent)) = (device(path), path.parent().and_then(device)) else { return false };
    own != parent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_no_mount_point() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        assert!(!is_mounted(&dir.path().join("state")));
        assert!(!is_mounted(&dir.path().join("none")));
        assert!(is_mounted(Path::new("/proc")));
    }
}
