//! Which file lies where in an image.

use std::collections::HashMap;

use image_format::patch::BlockRange;

use crate::erofs_read::{ErofsError, Image, Kind, ReadAt};

/// The parts of an image that are no file's contents. Paths of files do not begin with a slash.
const SUPERBLOCK: &str = "/superblock";
const DIRECTORIES: &str = "/directories";
const INODES: &str = "/inodes";
const WHOLE: &str = "/image";

/// A file's contents, or a part of the image that has another use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// The first path of these contents, without a leading slash.
    pub(super) path: String,
    /// Where they lie.
    pub(super) blocks: BlockRange,
}

impl Placed {
    /// The block behind the last one.
    pub(super) fn end(&self) -> u32 {
        self.blocks.first + self.blocks.count
    }
}

/// All of them in the order of their places, without overlaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileMap(Vec<Placed>);

impl FileMap {
    /// Reads directories and inodes of an image.
    ///
    /// # Errors
    /// The image is not one that is read here.
    pub(super) fn read<R: ReadAt>(image: &Image<R>) -> Result<Self, ErofsError> {
        let mut placed = HashMap::new();
        for node in image.walk() {
            let node = node?;
            if let Kind::File(extent) = node.kind
                && extent.blocks() > 0
            {
                placed.entry((extent.block, extent.blocks())).or_insert(node.path);
            }
        }
        let files = placed
            .into_iter()
            .map(|((first, count), path)| Placed { path, blocks: BlockRange { first, count } })
            .collect();
        Ok(Self::new(files, image.inode_block(), image.blocks()))
    }

    /// The map of files; what no file covers is metadata.
    pub(super) fn new(mut files: Vec<Placed>, inodes: u32, blocks: u32) -> Self {
        files.sort_unstable_by(|a, b| (a.blocks.first, &a.path).cmp(&(b.blocks.first, &b.path)));
        let mut all: Vec<Placed> = Vec::with_capacity(files.len() + 3);
        let mut add = |path: &str, first: u32, end: u32| {
            if first < end {
                all.push(Placed { path: path.to_owned(), blocks: BlockRange { first, count: end - first } });
            }
        };
        let mut next = 0;
        let before = |first| if first == 0 { SUPERBLOCK } else { DIRECTORIES };
        for file in &files {
            add(before(next), next, file.blocks.first);
            // Files that overlap others, which no image of ours has, keep what is behind.
            add(&file.path, file.blocks.first.max(next), file.end());
            next = next.max(file.end());
        }
        add(before(next), next, inodes);
        add(INODES, next.max(inodes), blocks);
        Self(all)
    }

    /// The map of an image of unknown content.
    pub(super) fn whole(blocks: u32) -> Self {
        Self(vec![Placed { path: WHOLE.to_owned(), blocks: BlockRange { first: 0, count: blocks } }])
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Placed] {
        &self.0
    }

    /// Those that have blocks in a range, in order.
    pub(super) fn within(&self, range: BlockRange) -> &[Placed] {
        let start = self.0.partition_point(|placed| placed.end() <= range.first);
        let rest = &self.0[start..];
        let len = rest.partition_point(|placed| placed.blocks.first < range.first + range.count);
        &rest[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, first: u32, count: u32) -> Placed {
        Placed { path: path.to_owned(), blocks: BlockRange { first, count } }
    }

    #[test]
    fn everything_has_a_place() {
        let map = FileMap::new(vec![file("b", 3, 5), file("a", 1, 2)], 10, 12);
        let expected = [
            file(SUPERBLOCK, 0, 1),
            file("a", 1, 2),
            file("b", 3, 5),
            file(DIRECTORIES, 8, 2),
            file(INODES, 10, 2),
        ];
        assert_eq!(map.all(), expected);
        let within = |first, count| -> Vec<&str> {
            let placed = map.within(BlockRange { first, count });
            placed.iter().map(|placed| placed.path.as_str()).collect()
        };
        assert_eq!(within(2, 2), ["a", "b"]);
        assert_eq!(within(3, 1), ["b"]);
        assert_eq!(within(0, 12).len(), 5);
        assert_eq!(within(12, 9).len(), 0);
    }
}
