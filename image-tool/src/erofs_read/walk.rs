//! Every file once, in the order of paths, directories before what is in them.

use std::collections::HashSet;

use super::{DIRECTORY_MAX, ErofsError, Extent, Image, Kind, NODES_MAX, Node, PATH_MAX, ReadAt, directory};

impl<R: ReadAt> Image<R> {
    /// Walks through all files, the root first. Ends at the first thing that is not in order, or after the first error.
    pub(crate) fn walk(&self) -> Walk<'_, R> {
        Walk { image: self, next: vec![(String::new(), self.root_nid)], entered: HashSet::new(), nodes: 0 }
    }

    fn entries(&self, extent: &Extent, path: &str) -> Result<Vec<(String, u64)>, ErofsError> {
        if extent.size > DIRECTORY_MAX {
            let expected = format!("at most {DIRECTORY_MAX} bytes");
            return Err(ErofsError::new("directory", expected, extent.size).of(path));
        }
        let bytes = self.read_all(extent, "directory");
        bytes.and_then(|bytes| directory::parse(&bytes)).map_err(|error| error.of(path))
    }
}

/// See [`Image::walk`].
#[derive(Debug)]
pub(crate) struct Walk<'i, R> {
    image: &'i Image<R>,
    /// What is left, the next one last: path and inode number.
    next: Vec<(String, u64)>,
    /// Directories that were entered: one that contains itself would have no end.
    entered: HashSet<u64>,
    nodes: u64,
}

impl<R: ReadAt> Walk<'_, R> {
    fn visit(&mut self, path: String, nid: u64) -> Result<Node, ErofsError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(ErofsError::new("files", format!("at most {NODES_MAX}"), "more"));
        }
        let node = self.image.inode(nid, path)?;
        if let Kind::Dir(extent) = &node.kind {
            if !self.entered.insert(nid) {
                return Err(ErofsError::new("directory", "each one in one place", nid).of(&node.path));
            }
            for (name, nid) in self.image.entries(extent, &node.path)?.into_iter().rev() {
                let path = if node.path.is_empty() { name } else { format!("{}/{name}", node.path) };
                if path.len() > PATH_MAX {
                    let expected = format!("a path of at most {PATH_MAX} bytes");
                    return Err(ErofsError::new("directory", expected, path.len()));
                }
                self.next.push((path, nid));
            }
        }
        Ok(node)
    }
}

impl<R: ReadAt> Iterator for Walk<'_, R> {
    type Item = Result<Node, ErofsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (path, nid) = self.next.pop()?;
        let node = self.visit(path, nid);
        if node.is_err() {
            self.next.clear();
        }
        Some(node)
    }
}
