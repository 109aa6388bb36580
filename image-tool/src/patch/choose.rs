//! Which old file a new file comes from: the one at the same path; else one whose path is the same but for its digits, as
//! versions are; else one of the same name but for its digits; else the nearest one in the order of paths.

use std::collections::HashMap;

use super::files::{FileMap, Placed};

/// The old files by the names that they are looked up by.
#[derive(Debug)]
pub(super) struct Choice<'m> {
    by_path: HashMap<&'m str, &'m Placed>,
    by_shape: HashMap<String, Vec<&'m Placed>>,
    by_name: HashMap<String, Vec<&'m Placed>>,
    sorted: Vec<&'m Placed>,
}

impl<'m> Choice<'m> {
    /// Over the files of the old image.
    pub(super) fn new(base: &'m FileMap) -> Self {
        let mut choice = Self {
            by_path: HashMap::new(),
            by_shape: HashMap::new(),
            by_name: HashMap::new(),
            sorted: base.all().iter().collect(),
        };
        for placed in base.all() {
            choice.by_path.insert(&placed.path, placed);
            let shape = shape(&placed.path);
            choice.by_name.entry(name(&shape).to_owned()).or_default().push(placed);
            choice.by_shape.entry(shape).or_default().push(placed);
        }
        choice.sorted.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        choice
    }

    /// What `file` of the new image is most like; `None` only for an empty image.
    pub(super) fn of(&self, file: &Placed) -> Option<&'m Placed> {
        if let Some(same) = self.by_path.get(file.path.as_str()) {
            return Some(same);
        }
        let shape = shape(&file.path);
        let alike = self.by_shape.get(&shape).or_else(|| self.by_name.get(name(&shape)));
        if let Some(alike) = alike {
            return alike.iter().copied().max_by_key(|candidate| likeness(file, candidate));
        }
        let next = self.sorted.partition_point(|candidate| candidate.path < file.path);
        let neighbours = &self.sorted[next.saturating_sub(1)..self.sorted.len().min(next + 1)];
        neighbours.iter().copied().max_by_key(|candidate| likeness(file, candidate))
    }
}

/// More is better: the longer beginning and end in common, then the nearer size.
fn likeness(file: &Placed, candidate: &Placed) -> (usize, std::cmp::Reverse<u32>) {
    let common = |a: &mut dyn Iterator<Item = u8>, b: &mut dyn Iterator<Item = u8>| {
        a.zip(b).take_while(|(a, b)| a == b).count()
    };
    let (a, b) = (&file.path, &candidate.path);
    let start = common(&mut a.bytes(), &mut b.bytes());
    let end = common(&mut a.bytes().rev(), &mut b.bytes().rev());
    (start + end, std::cmp::Reverse(file.blocks.count.abs_diff(candidate.blocks.count)))
}

/// A path without its digits.
fn shape(path: &str) -> String {
    path.chars().filter(|char| !char.is_ascii_digit()).collect()
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use image_format::patch::BlockRange;

    use super::*;

    fn file(path: &str, first: u32, count: u32) -> Placed {
        Placed { path: path.to_owned(), blocks: BlockRange { first, count } }
    }

    #[test]
    fn the_nearest_relative_is_chosen() {
        let files = [
            "lib/modules/6.1.0-50/a.ko",
            "lib/modules/6.1.0-50/b.ko",
            "lib/modules/5.10/a.ko",
            "usr/lib/libx.so.1.2",
            "usr/share/doc/x/readme",
        ];
        let files = files.iter().zip(1..).map(|(path, first)| file(path, first, 1)).collect();
        let map = FileMap::new(files, 10, 12);
        let choice = Choice::new(&map);
        let of = |path: &str| choice.of(&file(path, 1, 1)).unwrap().path.clone();
        assert_eq!(of("usr/lib/libx.so.1.2"), "usr/lib/libx.so.1.2", "the same path");
        assert_eq!(of("lib/modules/6.1.0-56/a.ko"), "lib/modules/6.1.0-50/a.ko", "other digits");
        assert_eq!(of("usr/lib/libx.so.1.30"), "usr/lib/libx.so.1.2", "more digits");
        assert_eq!(of("usr/lib/modules/6.1.0-56/b.ko"), "lib/modules/6.1.0-50/b.ko", "moved");
        assert_eq!(of("usr/share/doc/x/readna"), "usr/share/doc/x/readme", "a neighbour");
        assert_eq!(of("/inodes"), "/inodes");
    }
}
