//! `imgtool chunk`: any file into chunks, and back.

use std::fs;

use image_format::chunker::FileMap;
use serde_json::Value;

use crate::image::noise;
use crate::place::{Place, says, snapshot};

const BLOCK: usize = 4096;

/// Files one behind the other, the last with zeros before and behind it, and where they begin.
fn image() -> (Vec<u8>, FileMap) {
    let mut bytes = Vec::new();
    let mut starts = Vec::new();
    for (file, blocks) in [3, 40, 1, 2, 5, 25, 60].into_iter().enumerate() {
        starts.push((bytes.len() / BLOCK) as u32);
        bytes.extend(noise(file as u64, blocks * BLOCK));
    }
    bytes.extend(vec![0; 300 * BLOCK]);
    starts.push((bytes.len() / BLOCK) as u32);
    bytes.extend(noise(9, 20 * BLOCK));
    bytes.extend(vec![0; 5 * BLOCK]);
    let blocks = (bytes.len() / BLOCK) as u32;
    (bytes, FileMap::new(starts, blocks).unwrap())
}

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"))
}

#[test]
fn a_file_goes_in_and_comes_back_and_the_second_time_nothing_is_new() {
    let place = Place::empty();
    let (mut bytes, map) = image();
    fs::write(place.path("image"), &bytes).unwrap();
    fs::write(place.path("map"), map.encode()).unwrap();
    let args = ["chunk", "image", "--store", "chunks", "--index", "out.idx", "--map", "map"];
    let first = place.json(&args);
    assert_eq!(number(&first, "bytes"), bytes.len() as u64);
    assert_eq!((number(&first, "zero_entries"), number(&first, "zero_bytes")), (2, 305 * BLOCK as u64));
    assert_eq!(number(&first, "reused"), 0);
    let objects = number(&first, "entries") - 2;
    assert_eq!(number(&first, "new_objects"), objects + 1, "chunks and index");
    let index = fs::read(place.path("out.idx")).unwrap();
    assert_eq!(number(&first, "index_bytes"), index.len() as u64);

    let store = place.path("chunks");
    let id = first["index"].as_str().unwrap();
    place.ok(&["export", "--store", "chunks", "--index", id, "--format", "raw", "--out", "back"]);
    assert_eq!(fs::read(place.path("back")).unwrap(), bytes);

    let before = snapshot(&store);
    let again = place.json(&args);
    assert_eq!(again["index"], first["index"]);
    assert_eq!((number(&again, "reused"), number(&again, "new_objects")), (objects, 0));
    assert_eq!(snapshot(&store), before);

    // One byte in a file of 40 blocks: its chunks alone, at most all of them, are new; without its map nearly as few.
    bytes[20 * BLOCK] ^= 1;
    fs::write(place.path("image"), &bytes).unwrap();
    let known = ["chunk", "image", "--store", "chunks", "--known", "out.idx", "--map", "map"];
    let changed = place.json(&known);
    assert_ne!(changed["index"], first["index"]);
    assert_eq!(
        number(&changed, "reused") + number(&changed, "new_objects") - 1,
        number(&changed, "entries") - 2
    );
    assert!((2..=11).contains(&number(&changed, "new_objects")), "{changed}");
    assert_eq!(fs::read(place.path("out.idx")).unwrap(), index, "a known index is not written");
    let text = place.ok(&known);
    says(&text, &["index", "known", "durable after"]);
}

#[test]
fn what_is_not_a_map_an_index_or_a_store_is_refused_and_nothing_is_written() {
    let place = Place::empty();
    let (bytes, map) = image();
    fs::write(place.path("image"), &bytes).unwrap();
    fs::write(place.path("short"), &bytes[BLOCK..]).unwrap();
    fs::write(place.path("map"), map.encode()).unwrap();
    fs::write(place.path("bad.map"), &map.encode()[1..]).unwrap();
    fs::write(place.path("letter"), "Dear index").unwrap();
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/letter"), "Dear store").unwrap();
    let refused = |args: &[&str], words: &[&str]| {
        let all: Vec<&str> = [&["chunk"], args].concat();
        says(&place.refused(&all), words);
    };
    let expected =
        format!("the file map is of an image of {} bytes, found {}", bytes.len(), bytes.len() - BLOCK);
    refused(&["short", "--store", "chunks", "--map", "map"], &["short into chunks", &expected]);
    refused(&["image", "--store", "chunks", "--map", "bad.map"], &["bad.map", "expected a BSCLMAP1 header"]);
    refused(&["image", "--store", "chunks", "--known", "letter"], &["letter", "index: expected 24 to"]);
    refused(&["image", "--store", "chunks", "--index", "letter"], &["letter", "index: expected 24 to"]);
    assert_eq!(fs::read(place.path("letter")).unwrap(), b"Dear index");
    refused(&["image", "--store", "home"], &["home"]);
    refused(&["nothing", "--store", "chunks"], &["open nothing"]);
    assert_eq!(fs::read_dir(place.path("home")).unwrap().count(), 1);
    let left = snapshot(&place.path("chunks"));
    assert!(left.is_empty(), "{:?}", left.keys());
}
