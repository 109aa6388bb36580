//! An image in the formats of others, read by their programs.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::common::{assert_says, place, repo, tool};
use bascule_tests::fixture::{IMAGE, ServedStore, index_of};
use bascule_tests::fleet::Repo;

fn args<'a>(format: &'a str, out: &'a Path) -> [&'a str; 6] {
    ["export", IMAGE, "--format", format, "--out", out.to_str().unwrap()]
}

fn export(repo: &Repo<'_>, format: &str, out: &Path) {
    repo.run(&args(format, out)).unwrap();
}

/// What there is below a directory: type and permissions without the bits that `fsck.erofs` loses by a change of the owner, owner, date,
/// device number, and a digest of the contents of files and links.
fn listing(dir: &Path) -> BTreeMap<PathBuf, (u32, u32, u32, i64, u64, u64)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        let content = if seen.is_file() {
            fs::read(&path).unwrap()
        } else if seen.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        if seen.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let lost = if seen.is_dir() { 0 } else { 0o6000 };
        let (mode, device) = (seen.mode() & !lost, seen.rdev());
        let mut digest = DefaultHasher::new();
        digest.write(&content);
        let what = (mode, seen.uid(), seen.gid(), seen.mtime(), device, digest.finish());
        found.insert(path.strip_prefix(dir).unwrap().to_owned(), what);
    }
    found
}

#[test]
fn other_programs_read_an_exported_image() {
    let place = place("export");
    let repo = repo(&place);
    let [raw, frame, archive] = ["raw", "zst", "tar"].map(|name| place.join(name));
    export(&repo, "raw", &raw);
    export(&repo, "zstd", &frame);
    export(&repo, "tar", &archive);
    let plain = place.join("decompressed");
    tool("zstd", &["-q".as_ref(), "-d".as_ref(), frame.as_os_str(), "-o".as_ref(), plain.as_os_str()]);
    assert!(fs::read(&plain).unwrap() == fs::read(&raw).unwrap(), "zstd");

    let [by_fsck, by_tar] = ["by-fsck", "by-tar"].map(|name| place.join(name));
    let extract = format!("--extract={}", by_fsck.display());
    tool("fsck.erofs", &[extract.as_ref(), "--preserve".as_ref(), raw.as_os_str()]);
    fs::create_dir(&by_tar).unwrap();
    let numeric = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"];
    let numeric = numeric.iter().map(|option| option.as_ref());
    let rest = [archive.as_os_str(), "-C".as_ref(), by_tar.as_os_str()];
    tool("tar", &numeric.chain(rest).collect::<Vec<_>>());
    let (expected, found) = (listing(&by_fsck), listing(&by_tar));
    assert!(expected.len() > 1000);
    let all = expected.keys().chain(found.keys());
    let differ: Vec<_> = all.filter(|path| expected.get(*path) != found.get(*path)).take(10).collect();
    assert!(differ.is_empty(), "expected what fsck.erofs extracts, found a difference at {differ:?}");
    // What fsck.erofs loses.
    assert_eq!(fs::metadata(by_tar.join("usr/bin/passwd")).unwrap().mode() & 0o7777, 0o4755);
}

#[test]
fn nothing_is_overwritten_unasked() {
    let place = place("export-exists");
    let repo = repo(&place);
    let out = place.join("out");
    fs::write(&out, "precious").unwrap();
    assert_says(&repo.refused(&args("raw", &out)).unwrap(), &["exists already", "--force"]);
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    repo.run(&[&args("zstd", &out)[..], &["--force"]].concat()).unwrap();
    assert!(fs::metadata(&out).unwrap().len() > 1000);
    assert_says(&repo.refused(&args("raw", &place)).unwrap(), &["expected no file or a regular file"]);
}

#[test]
fn a_damaged_store_exports_nothing() {
    let place = place("export-damaged");
    let repo = repo(&place);
    let out = place.join("out");
    fs::create_dir(&out).unwrap();
    let store = ServedStore::at(&repo.dir().join("store")).unwrap();
    let last = store.last_chunk(&index_of(repo.dir()).unwrap()).unwrap();
    store.flip(&last).unwrap();
    for format in ["raw", "zstd", "tar", "casync"] {
        let message = repo.refused(&args(format, &out.join(format))).unwrap();
        assert_says(&message, &["export base@1", &last, "digest does not match"]);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "{format} left something");
    }
}
