//! Exports over HTTP.

use std::os::unix::fs::symlink;

use crate::support::start;

#[tokio::test]
async fn exports_are_served_and_nothing_beside_them() {
    let running = start().await;
    let exports = running.data().join("casync");
    let digest = "0123456789abcdef".repeat(4);
    let chunks = exports.join("default.castr/0123");
    std::fs::create_dir_all(&chunks).unwrap();
    std::fs::write(exports.join("ha@1.caibx"), "index").unwrap();
    std::fs::write(exports.join("notes.txt"), "secret").unwrap();
    std::fs::write(chunks.join(format!("{digest}.cacnk")), "chunk").unwrap();
    symlink("../admin.token", exports.join("token.caibx")).unwrap();

    let index = running.get("/casync/ha@1.caibx").await;
    assert_eq!(
        (index.status, index.text().as_str(), index.header("cache-control")),
        (200, "index", "no-cache")
    );
    let chunk = running.get(&format!("/casync/default.castr/0123/{digest}.cacnk")).await;
    assert_eq!((chunk.status, chunk.text().as_str(), chunk.header("content-length")), (200, "chunk", "5"));
    assert_eq!(chunk.header("cache-control"), "public, max-age=31536000, immutable");
    for path in [
        "/casync/token.caibx".to_owned(),
        "/casync/notes.txt".into(),
        "/casync/none.caibx".into(),
        "/casync/default.castr".into(),
        format!("/casync/default.castr/0123/{}.cacnk", digest.replace('f', "e")),
    ] {
        assert_eq!(running.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(running.get("/casync/../admin.token").await.status, 400);
}
