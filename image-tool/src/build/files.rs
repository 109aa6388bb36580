//! The list of files in a root: JSON lines, sorted by path, compressed. For comparing two images, never for checking one.

use std::io::{BufRead as _, BufReader, Read as _};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::tree::{Kind, Tree};

/// Slow enough to be small; the list is written once and seldom read.
const LEVEL: i32 = 12;
/// Largest list read, in bytes, decompressed.
const LIST_MAX: u64 = 1 << 30;

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileEntry {
    /// Absolute path.
    pub(crate) path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub(crate) file_type: FileType,
    /// Permission bits, octal.
    pub(crate) mode: String,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Date of modification, in seconds since 1970.
    pub(crate) mtime: u64,
    /// Size of a regular file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// BLAKE3 digest of a regular file, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blake3: Option<String>,
    /// Target of a symbolic link, or a device's numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// Extended attributes: name and value (hexadecimal).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) xattrs: Vec<(String, String)>,
}

/// What a listed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A device.
    Device,
    /// A named pipe.
    Fifo,
}

/// The compressed list of all files in `tree`.
pub(crate) fn encode(tree: &Tree, contents: &Contents) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (path, node) in tree.iter() {
        let (file_type, target) = match &node.kind {
            Kind::Dir => (FileType::Dir, None),
            Kind::File(_) => (FileType::File, None),
            Kind::Symlink(target) => (FileType::Link, Some(target.clone())),
            Kind::CharDevice(major, minor) => (FileType::Device, Some(format!("c{major}:{minor}"))),
            Kind::BlockDevice(major, minor) => (FileType::Device, Some(format!("b{major}:{minor}"))),
            Kind::Fifo => (FileType::Fifo, None),
        };
        let size = if let Kind::File(content) = &node.kind { Some(content.len()) } else { None };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let entry = FileEntry {
            path: format!("/{path}"),
            file_type,
            mode: format!("{:04o}", node.mode),
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            size,
            blake3: contents.digest(path).map(|digest| digest.to_string()),
            target,
            xattrs: node.xattrs.iter().map(|(name, value)| (name.clone(), hex(value))).collect(),
        };
        serde_json::to_writer(&mut lines, &entry).context("write the file list")?;
        lines.push(b'\n');
    }
    zstd::bulk::compress(&lines, LEVEL).context("compress the file list")
}

/// Reads a compressed list.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<Vec<FileEntry>> {
    let decoder = zstd::stream::read::Decoder::new(bytes).context("decompress the file list")?;
    let lines = BufReader::new(decoder.take(LIST_MAX)).lines();
    lines
        .map(|line| {
            let line = line.context("decompress the file list")?;
            serde_json::from_str(&line).context("file list: a line is not as expected")
        })
        .collect()
}
