//! Objects, batches, metadata: what is served, and what never is.

use std::os::unix::fs::symlink;

use image_format::ObjectId;
use image_format::store::Store;

use crate::support::client::{Response, raw, read_one, request};
use crate::support::publication::{Image, Publication, one_image, plain_chunk};
use crate::support::{Running, start};

/// So that single objects can be damaged. The server's housekeeping would notice within a second.
fn take_packs_apart(running: &Running) {
    Store::open(running.data()).unwrap().unpack().unwrap();
    running.server.app().content.store().look_again().unwrap();
}

async fn published() -> (Running, Publication, Image) {
    let running = start().await;
    let (publication, image) = one_image();
    running.publish(&publication).await;
    (running, publication, image)
}

#[tokio::test]
async fn an_object_is_served_whole_with_exact_lengths() {
    let (running, publication, image) = published().await;
    let id = image.manifest.kernel.object.id;
    let path = format!("/objects/{id}");
    let bytes = &publication.objects[&id];

    let got = running.get(&path).await;
    assert_eq!((got.status, &got.body), (200, bytes));
    assert_eq!(got.header("content-length"), bytes.len().to_string());
    assert_eq!(got.header("etag"), format!("\"{id}\""));
    assert_eq!(got.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert_eq!(got.header("accept-ranges"), "none");
    assert_eq!(got.header("transfer-encoding"), "");

    let head = request(running.server.delivery, "HEAD", &path, "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let but_date = |response: &Response| {
        let mut headers = response.headers.clone();
        headers.remove("date");
        headers
    };
    assert_eq!(but_date(&head), but_date(&got));
    assert_eq!(head.header("content-length"), bytes.len().to_string());
    let none = request(running.server.delivery, "HEAD", "/objects/x", "", b"").await;
    let told = running.get("/objects/x").await;
    assert_eq!((none.status, none.body.len()), (404, 0));
    assert_eq!(none.header("content-length"), told.body.len().to_string());
    assert_eq!(
        (told.header("x-content-type-options"), told.header("cache-control")),
        ("nosniff", "no-store")
    );

    // The admin listener has no short way to objects: its route says the same.
    let routed = request(running.server.admin, "GET", &path, "", b"").await;
    assert_eq!((routed.status, &routed.body, but_date(&routed)), (200, bytes, but_date(&got)));

    let whole = running.get_with(&path, "Range: bytes=0-3\r\n").await;
    assert_eq!((whole.status, whole.body.len()), (200, bytes.len()));

    let same = running.get_with(&path, &format!("If-None-Match: \"{id}\"\r\n")).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, format!("\"{id}\"").as_str()));
    // It would have to be that of the 200.
    assert_eq!(same.header("content-length"), "");
    let other = running.get_with(&path, "If-None-Match: \"x\"\r\n").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (running, publication, image) = published().await;
    let mut stream = crate::support::client::connect(running.server.delivery).await;
    for id in [image.manifest.kernel.object.id, image.manifest.initramfs.id] {
        for method in ["GET", "GET"] {
            let text = format!("{method} /objects/{id} HTTP/1.1\r\nHost: x\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
            assert_eq!(read_one(&mut stream).await.body, publication.objects[&id]);
        }
    }
}

#[tokio::test]
async fn hostile_paths_open_nothing() {
    let (running, _, image) = published().await;
    let hex = image.manifest.kernel.object.id.to_string();
    // What would be reached if a path climbed.
    std::fs::write(running.data().join("objects/secret"), "secret").unwrap();
    for path in [
        "/objects/../admin.token".to_owned(),
        "/objects/../../etc/passwd".into(),
        "/objects/%2e%2e%2fadmin.token".into(),
        "/objects/%00".into(),
        "/objects/..%5cadmin.token".into(),
        "/objects/%252e%252e%252f".into(),
        "/objects/secret".into(),
        "/admin.token".into(),
        "/fleet.db".into(),
        "/metadata/../../admin.token".into(),
        "/metadata/..%2f..%2fadmin.token".into(),
        "/targets/images/../../../admin.token".into(),
        "/targets/../metadata/timestamp.json".into(),
        format!("/objects/{}", hex.to_uppercase()),
        format!("/objects/%{}", &hex[..62]),
        format!("//objects/{hex}"),
        format!("/objects//{hex}"),
        format!("/objects/{}/{hex}", &hex[..2]),
        format!("/objects/{hex}/"),
        format!("/objects/{hex}?x"),
        format!("/objects/{}", "a".repeat(10_000)),
        format!("/batch/{hex}/0"),
        format!("/batch/{}/0", "a".repeat(64)),
        "/".into(),
        "/boot.ipxe/".into(),
        "/boot.ipxe?mac=../../etc".into(),
        "/boot.ipxe?mac=%zz".into(),
    ] {
        let got = running.get(&path).await;
        assert!(matches!(got.status, 400 | 404), "{path}: {} {}", got.status, got.text());
        assert!(!got.text().contains("secret") && !got.text().contains(&running.token), "{path}");
    }
    // Spellings that the HTTP parser refuses by itself, and a request that is meant for a proxy.
    for target in
        ["/objects/\0", "/objects/a b", "http://evil/objects/x", "evil:80", "\\objects", "/objects/\x7f"]
    {
        let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = Response::parse(&raw(running.server.delivery, text.as_bytes()).await).unwrap();
        assert!(matches!(answer.status, 400 | 404), "{target:?}: {}", answer.status);
    }
}

#[tokio::test]
async fn links_and_fifos_in_the_store_are_not_served() {
    let (running, _, image) = published().await;
    take_packs_apart(&running);
    let id = image.manifest.kernel.object.id;
    let file = running.data().join(id.object_path());
    let elsewhere = running.dir.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(running.get(&format!("/objects/{id}")).await.status, 404);
    std::fs::remove_file(&file).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &file, fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert_eq!(running.get(&format!("/objects/{id}")).await.status, 404);
    std::fs::remove_file(&file).unwrap();
    let fan_out = file.parent().unwrap();
    std::fs::rename(fan_out, running.dir.path().join("fan")).unwrap();
    std::fs::rename(&elsewhere, running.dir.path().join("fan").join(id.to_string())).unwrap();
    symlink(running.dir.path().join("fan"), fan_out).unwrap();
    assert_eq!(running.get(&format!("/objects/{id}")).await.status, 404);
}

#[tokio::test]
async fn only_get_and_head() {
    let (running, ..) = published().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        let got = request(running.server.delivery, method, "/metadata/timestamp.json", "", b"").await;
        assert_eq!((got.status, got.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    let body = running.get_with("/healthz", "Content-Length: 1000000000\r\n").await;
    assert_eq!((body.status, body.header("connection")), (400, "close"));
    let chunked = running.get_with("/healthz", "Transfer-Encoding: chunked\r\n").await;
    assert_eq!((chunked.status, chunked.header("connection")), (400, "close"));
    let both = running.get_with("/healthz", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n").await;
    assert_eq!(both.status, 400);
    let lengths = running.get_with("/healthz", "Content-Length: 1\r\nContent-Length: 2\r\n").await;
    assert_eq!(lengths.status, 400);
}

#[tokio::test]
async fn heads_are_limited() {
    let running = start().await;
    let large = running.get_with("/healthz", &format!("X: {}\r\n", "a".repeat(32 << 10))).await;
    assert_eq!(large.status, 431);
    let many = running.get_with("/healthz", &"X: y\r\n".repeat(10_000)).await;
    assert_eq!(many.status, 431);
    assert_eq!(running.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_batch_is_the_stored_bytes_in_order() {
    let (running, publication, image) = published().await;
    let entries = image.index.entries();
    assert_eq!(entries.len(), 6);
    let path = |ranges: &str| format!("/batch/{}/{ranges}", image.manifest.root.index.id);
    for (ranges, numbers) in [
        ("0-5", vec![0, 1, 2, 3, 5]),
        ("1,3", vec![1, 3]),
        ("4", vec![]),
        ("0,4-5", vec![0, 5]),
        ("3-5", vec![3, 5]),
    ] {
        let expected: Vec<u8> =
            numbers.iter().flat_map(|n: &usize| publication.objects[&entries[*n].object].clone()).collect();
        let got = running.get(&path(ranges)).await;
        assert_eq!((got.status, &got.body), (200, &expected), "{ranges}");
        assert_eq!(got.header("content-length"), expected.len().to_string());
        let head = request(running.server.delivery, "HEAD", &path(ranges), "", b"").await;
        assert_eq!((head.header("content-length"), head.body.len()), (got.header("content-length"), 0));
    }
    for ranges in
        ["", "6", "0-6", "2-1", "1,1", "1,0", "x", "0-", "-1", "+1", "00", "0,", "0;1", "99999999999"]
    {
        let got = running.get(&path(ranges)).await;
        assert_eq!(got.status, 400, "{ranges}: {}", got.text());
    }
    let kernel = format!("/batch/{}/0", image.manifest.kernel.object.id);
    assert_eq!(running.get(&kernel).await.status, 404);
}

#[tokio::test]
async fn segments_are_batched_like_chunks() {
    let running = start().await;
    let mut publication = Publication::new();
    let image = publication.image("ha@1", 1);
    // The first two of its entries.
    let plain = [plain_chunk("ha@1", 0, 4), plain_chunk("ha@1", 1, 5)];
    let (table, stored) = publication.stream(&image, &plain);
    publication.sign();
    running.publish(&publication).await;
    for (ranges, expected) in [("0-1", stored.concat()), ("1", stored[1].clone())] {
        let got = running.get(&format!("/batch/{table}/{ranges}")).await;
        assert_eq!((got.status, &got.body), (200, &expected), "{ranges}");
    }
    assert_eq!(running.get(&format!("/batch/{table}/2")).await.status, 400);
    // A segment is no list, nor is a table that nothing names.
    let segment = format!("/batch/{}/0", ObjectId::of(&stored[0]));
    assert_eq!(running.get(&segment).await.status, 404);
    let (path, document) = publication.targets.iter().find(|(path, _)| path.contains("@patches")).unwrap();
    assert_eq!(running.get(&format!("/targets/{path}")).await.body, *document);
}

#[tokio::test]
async fn a_batch_with_a_missing_or_damaged_object_does_not_begin() {
    let (running, _, image) = published().await;
    take_packs_apart(&running);
    let id = image.index.entries()[3].object;
    let file = running.data().join(id.object_path());
    let bytes = std::fs::read(&file).unwrap();
    let batch = format!("/batch/{}/0-3", image.manifest.root.index.id);
    std::fs::write(&file, &bytes[1..]).unwrap();
    assert_eq!(running.get(&batch).await.status, 500);
    std::fs::remove_file(&file).unwrap();
    let got = running.get(&batch).await;
    assert_eq!((got.status, got.text()), (404, format!("not found: object {id} of this batch\n")));
    assert_eq!(running.get(&format!("/batch/{}/0-2", image.manifest.root.index.id)).await.status, 200);
}

#[tokio::test]
async fn metadata_and_targets_with_their_caches() {
    let (running, publication, image) = published().await;
    for (name, bytes) in &publication.metadata {
        let got = running.get(&format!("/metadata/{name}")).await;
        assert_eq!((got.status, &got.body), (200, bytes), "{name}");
        let immutable = got.header("cache-control").ends_with("immutable");
        assert_eq!(immutable, name != "timestamp.json");
        let condition = format!("If-None-Match: {}\r\n", got.header("etag"));
        let same = running.get_with(&format!("/metadata/{name}"), &condition).await;
        assert_eq!(same.status, 304, "{name}");
    }
    assert_eq!(running.get("/metadata/timestamp.json").await.header("cache-control"), "no-cache");
    for (name, bytes) in &publication.targets {
        let got = running.get(&format!("/targets/{name}")).await;
        assert_eq!((got.status, &got.body), (200, bytes), "{name}");
    }
    let manifest = format!("/targets/images/{}.ha@1.json", image.digest);
    assert_eq!(running.get(&manifest).await.status, 200);
    assert_eq!(running.get("/metadata/99.root.json").await.status, 404);
    assert_eq!(running.get(&format!("/targets/pins/{}.x.json", "0".repeat(64))).await.status, 404);
    assert_eq!(running.get(&format!("/objects/{}", ObjectId::of(b"none"))).await.status, 404);
}

#[tokio::test]
async fn a_root_is_shown_only_with_the_state_it_belongs_to() {
    let (running, publication, _) = published().await;
    let next = running.data().join("tuf/metadata/2.root.json");
    std::fs::write(next, &publication.metadata["1.root.json"]).unwrap();
    assert_eq!(running.get("/metadata/2.root.json").await.status, 404);
    assert_eq!(running.get("/metadata/1.root.json").await.status, 200);
}
