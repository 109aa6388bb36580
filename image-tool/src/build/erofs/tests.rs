use super::*;
use crate::build::tree::{Content, Node};

fn image(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    let contents = Contents::of(tree).unwrap();
    let size = write(tree, &contents, 1000, &mut bytes, &|_| {}).unwrap();
    assert_eq!(size, bytes.len() as u64);
    bytes
}
