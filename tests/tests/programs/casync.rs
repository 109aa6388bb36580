//! Debian's casync reads what `imgtool export` writes and makes what `imgtool import` reads, from directories and over HTTP.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{assert_says, files, place, repo, server, tool};
use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::Repo;
use bascule_tests::http::Request;

/// Exports `what` (an image, or `--index` and an id).
fn export(repo: &Repo<'_>, what: &[&str], format: &str, out: &Path) {
    let fixed = ["--format", format, "--out", out.to_str().unwrap()];
    repo.run(&[&["export"], what, &fixed].concat()).unwrap();
}

/// Imports an index; gives the bytes that an export of it has.
fn import_and_export(repo: &Repo<'_>, from: &str, raw: &Path) -> Vec<u8> {
    let (report, _) = repo.run(&["import", from]).unwrap();
    export(repo, &["--index", report["index"].as_str().unwrap()], "raw", raw);
    let bytes = fs::read(raw).unwrap();
    assert_eq!(report["size"], bytes.len());
    fs::remove_file(raw).unwrap();
    bytes
}

#[test]
fn casync_extracts_an_export_from_a_directory_and_over_http() {
    let place = place("casync-extract");
    let (repo, server) = (repo(&place), server(&place));
    let raw = place.join("raw");
    export(&repo, &[IMAGE], "raw", &raw);
    let expected = fs::read(&raw).unwrap();
    let out = server.data().join("casync");
    export(&repo, &[IMAGE], "casync", &out);
    let index = format!("{IMAGE}.caibx");

    let from_dir = place.join("from-directory");
    tool("casync", &["extract".as_ref(), out.join(&index).as_os_str(), from_dir.as_os_str()]);
    assert!(fs::read(&from_dir).unwrap() == expected, "extracted from a directory");
    tool("casync", &["digest".as_ref(), out.join(&index).as_os_str()]);

    let url = format!("http://{}/casync/{index}", server.delivery);
    let from_server = place.join("from-server");
    tool("casync", &["extract".as_ref(), url.as_ref(), from_server.as_os_str()]);
    assert!(fs::read(&from_server).unwrap() == expected, "extracted over HTTP");
    // With the image itself as a seed, in the place of a node's other slot.
    let seed = format!("--seed={}", raw.display());
    fs::remove_file(&from_server).unwrap();
    tool("casync", &["extract".as_ref(), seed.as_ref(), url.as_ref(), from_server.as_os_str()]);
    assert!(fs::read(&from_server).unwrap() == expected, "extracted with a seed");
    assert!(import_and_export(&repo, &url, &place.join("imported")) == expected, "imported over HTTP");
}

#[test]
fn hostile_paths_below_casync_find_nothing() {
    let server = server(&place("casync-paths"));
    let out = server.data().join("casync");
    fs::create_dir_all(out.join("default.castr/abcd")).unwrap();
    fs::write(server.data().join("secret.caibx"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret.caibx", out.join("link.caibx")).unwrap();
    let targets = [
        "/casync/../secret.caibx",
        "/casync/..%2fsecret.caibx",
        "/casync/%2e%2e/secret.caibx",
        "/casync/default.castr/../../secret.caibx",
        "/casync/default.castr/%2e%2e/secret.caibx",
        "/casync/link.caibx",
        "/casync/../admin.token",
        "/casync/default.castr/",
        "/casync/default.castr/abcd/",
        "/casync/default.castr/abcd/../../../admin.token",
        "/casync/",
        "/casync/none.caibx",
    ];
    let token = server.token().unwrap();
    for target in targets {
        let answer = Request::get(target).send(server.delivery).unwrap();
        assert!(matches!(answer.status, 400 | 404), "{target}: status {}", answer.status);
        let text = answer.text();
        assert!(text.trim() != "secret" && !text.contains(&token), "{target}: {text}");
    }
}

/// Data that does not compress, data that does, zeros of more than a chunk, and an uneven end.
fn artifact(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let byte = |at: usize| match at / 300_000 % 3 {
        0 => noise(),
        1 => (at / 64) as u8,
        _ => 0,
    };
    (0..len).map(byte).collect()
}

/// Runs `casync make` on an artifact; gives the index.
fn made(dir: &Path, name: &str, bytes: &[u8], options: &[&str]) -> PathBuf {
    let (blob, index) = (dir.join(name), dir.join(format!("{name}.caibx")));
    fs::write(&blob, bytes).unwrap();
    let options = options.iter().map(|option| option.as_ref());
    let fixed = ["make".as_ref(), index.as_os_str(), blob.as_os_str()];
    tool("casync", &options.chain(fixed).collect::<Vec<_>>());
    index
}

#[test]
fn what_casync_has_cut_is_imported() {
    let place = place("casync-import");
    let repo = repo(&place);
    for (name, len, options) in [
        ("one", 1, &[][..]),
        ("under", 4095, &[]),
        ("block", 4096, &[]),
        ("over", 4097, &[]),
        ("odd", 2_345_678, &[]),
        ("sha256", 1_234_567, &["--digest=sha256"]),
        ("small", 1_234_567, &["--chunk-size=1024:4096:16384"]),
        ("large", 9_000_001, &["--chunk-size=1048576:4194304:16777216"]),
    ] {
        let bytes = artifact(len);
        let index = made(&place, name, &bytes, options);
        let found = import_and_export(&repo, index.to_str().unwrap(), &place.join("raw"));
        assert!(found == bytes, "{name}: {len} bytes");
        // And what came back is again what casync reads.
        let (report, _) = repo.run(&["import", index.to_str().unwrap()]).unwrap();
        assert_eq!(report["new_objects"], 0, "{name}: a second import brings nothing");
        let again = place.join(format!("{name}-again/x.caibx"));
        export(&repo, &["--index", report["index"].as_str().unwrap()], "casync", &again);
        let out = place.join("extracted");
        tool("casync", &["extract".as_ref(), again.as_os_str(), out.as_os_str()]);
        assert!(fs::read(&out).unwrap() == bytes, "{name}: exported and extracted");
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn damage_and_foreign_things_are_refused_and_leave_nothing() {
    let place = place("casync-damage");
    let repo = repo(&place);
    let store = repo.dir().join("store");
    let before = files(&store);
    let index = made(&place, "image", &artifact(2_000_000), &[]);
    let refused = |index: &Path, words: &[&str]| {
        let message = repo.refused(&["import", index.to_str().unwrap()]).unwrap();
        assert_says(&message, words);
        assert_eq!(files(&store), before, "the store has changed: {message}");
    };
    let whole = fs::read(&index).unwrap();
    let other = place.join("other.caibx");
    for (bytes, words) in [
        (&whole[..whole.len() - 1], "expected"),
        (&whole[..whole.len() - 40], "tail"),
        (&whole[..100], "104 to"),
        (b"", "104 to"),
        (&artifact(104), "size of the header"),
    ] {
        fs::write(&other, bytes).unwrap();
        refused(&other, &["casync index", words]);
    }
    // A chunk in the middle: its id stands behind its end in the table.
    let item = 64 + 40 * ((whole.len() - 104) / 80);
    let id: String = whole[item + 8..item + 40].iter().map(|byte| format!("{byte:02x}")).collect();
    let chunk = place.join("default.castr").join(&id[..4]).join(format!("{id}.cacnk"));
    let good = fs::read(&chunk).unwrap();
    let damages: [(&str, &dyn Fn()); 4] = [
        ("flipped", &|| {
            fs::write(&chunk, [&good[..good.len() - 1], &[!good[good.len() - 1]]].concat()).unwrap();
        }),
        ("cut", &|| fs::write(&chunk, &good[..good.len() / 2]).unwrap()),
        ("replaced", &|| {
            let others = files(&place.join("default.castr"))
                .into_iter()
                .map(|file| place.join("default.castr").join(file));
            fs::copy(others.into_iter().find(|other| *other != chunk).unwrap(), &chunk).map(drop).unwrap();
        }),
        ("removed", &|| fs::remove_file(&chunk).unwrap()),
    ];
    for (how, damage) in damages {
        damage();
        refused(&index, &[&id]);
        fs::write(&chunk, &good).unwrap_or_else(|error| panic!("{how}: {error}"));
    }
    let xz = made(
        &place,
        "xz",
        &artifact(1000),
        &["--compression=xz", &format!("--store={}/xz.castr", place.display())],
    );
    let message = repo
        .refused(&["import", xz.to_str().unwrap(), "--store", place.join("xz.castr").to_str().unwrap()])
        .unwrap();
    assert_says(&message, &["compressed with xz", "expected zstd"]);
    repo.run(&["import", index.to_str().unwrap()]).unwrap();
}
