//! Publishing: the token, packs, commits.

use std::path::Path;

use image_format::ObjectId;
use server::token::TokenFile;

use crate::support::client::{raw, request};
use crate::support::publication::{Publication, one_image, pack};
use crate::support::{Running, start};

const CALLS: [(&str, &str); 12] = [
    ("POST", "/v1/objects/missing"),
    ("PUT", "/v1/objects"),
    ("POST", "/v1/commit"),
    ("GET", "/v1/metadata"),
    ("GET", "/v1/nodes"),
    ("GET", "/v1/nodes/52-54-00-12-34-56"),
    ("POST", "/v1/nodes/52-54-00-12-34-56/approve"),
    ("POST", "/v1/nodes/52-54-00-12-34-56/revoke"),
    ("POST", "/v1/nodes/52-54-00-12-34-56/forget"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens/new"),
    ("POST", "/v1/tokens/010203040506/revoke"),
];

/// Files below a directory.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

fn store_is_empty(running: &Running) -> bool {
    ["objects", "tmp", "tuf"].iter().all(|dir| files(&running.data().join(dir)).is_empty())
}

#[tokio::test]
async fn every_call_but_the_report_needs_the_token() {
    let running = start().await;
    let wrong = "0".repeat(64);
    let short = &running.token[..63];
    for (method, path) in CALLS {
        for authorization in [
            String::new(),
            format!("Authorization: Bearer {wrong}\r\n"),
            format!("Authorization: Bearer {short}\r\n"),
            format!("Authorization: Bearer {}x\r\n", running.token),
            format!("Authorization: Basic {}\r\n", running.token),
            format!("Authorization: {}\r\n", running.token),
            "Authorization: Bearer\r\n".into(),
            format!("Authorization: Bearer {0}\r\nAuthorization: Bearer {0}\r\n", running.token),
            format!("X-Token: {}\r\n", running.token),
        ] {
            let headers = format!("{authorization}Content-Length: 0\r\n");
            let got = request(running.server.admin, method, path, &headers, b"").await;
            assert_eq!(got.status, 401, "{method} {path} {authorization}");
            assert_eq!(got.header("www-authenticate"), "Bearer");
            assert!(got.json()["error"].as_str().unwrap().starts_with("not authorised"), "{}", got.text());
        }
        assert_ne!(running.call(method, path, b"").await.status, 401, "{method} {path}");
    }
    for path in ["/v1/objects", "/v1/nodes", "/v1/commit"] {
        assert_eq!(running.get(path).await.status, 404, "the delivery listener has no {path}");
    }
    let got = running.call("DELETE", "/v1/commit", b"").await;
    assert_eq!((got.status, got.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn refusals_are_json_wherever_they_come_from() {
    let running = start().await;
    for (method, path, status) in [
        ("GET", "/v1/none", 404),
        ("GET", "/v1/nodes/%41", 400),
        ("GET", "/v1/nodes/", 400),
        ("PATCH", "/v1/nodes", 405),
        ("PUT", "/v1/objects", 401),
    ] {
        let get = request(running.server.admin, method, path, "", b"").await;
        assert_eq!((get.status, get.header("content-type")), (status, "application/json"), "{method} {path}");
        assert_eq!(get.header("content-length"), get.body.len().to_string());
        assert!(get.json()["error"].is_string(), "{}", get.text());
    }
    let head = request(running.server.admin, "HEAD", "/v1/none", "", b"").await;
    let get = request(running.server.admin, "GET", "/v1/none", "", b"").await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_large_upload_that_is_refused_reads_why() {
    let running = start().await;
    let body = vec![0; 32 << 20];
    let headers = format!("Authorization: Bearer wrong\r\nContent-Length: {}\r\n", body.len());
    let got = request(running.server.admin, "PUT", "/v1/objects", &headers, &body).await;
    assert_eq!((got.status, got.json()["error"].as_str()), (401, Some("not authorised: wrong token")));
    // Refused at its first object, 32 MiB before its end.
    let got = running.call("PUT", "/v1/objects", &[vec![1; 32], vec![0; 32 << 20]].concat()).await;
    assert_eq!(got.status, 422, "{}", got.text());
}

#[tokio::test]
async fn a_new_token_counts_at_once() {
    let running = start().await;
    let new = TokenFile::of(&running.data()).renew().unwrap();
    assert_eq!(running.call("GET", "/v1/nodes", b"").await.status, 401);
    let running = Running { token: new, ..running };
    assert_eq!(running.call("GET", "/v1/nodes", b"").await.status, 200);
}

#[tokio::test]
async fn a_publication_from_nothing_to_served() {
    let running = start().await;
    let (publication, image) = one_image();
    let ids: Vec<ObjectId> = publication.objects.keys().copied().collect();
    let question = serde_json::json!({ "ids": ids }).to_string();
    let missing = running.call("POST", "/v1/objects/missing", question.as_bytes()).await;
    assert_eq!(missing.json(), serde_json::json!({ "missing": ids }));

    let stored = running.call("PUT", "/v1/objects", &publication.pack()).await;
    assert_eq!(stored.json(), serde_json::json!({ "stored": ids.len(), "present": 0 }));
    let again = running.call("PUT", "/v1/objects", &publication.pack()).await;
    assert_eq!(again.json(), serde_json::json!({ "stored": 0, "present": ids.len() }));
    let missing = running.call("POST", "/v1/objects/missing", question.as_bytes()).await;
    assert_eq!(missing.json(), serde_json::json!({ "missing": [] }));

    assert_eq!(running.get("/metadata/timestamp.json").await.status, 404);
    let committed = running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(committed.status, 200, "{}", committed.text());
    assert_eq!(
        committed.json(),
        serde_json::json!({ "changed": true, "images": ["ha@1"], "pins": ["rack"] })
    );
    let again = running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!((again.status, again.json()["changed"].as_bool()), (200, Some(false)));

    let names = running.call("GET", "/v1/metadata", b"").await.json();
    let metadata: Vec<&String> = publication.metadata.keys().collect();
    let targets: Vec<&String> = publication.targets.keys().collect();
    assert_eq!(
        (&names["metadata"], &names["targets"]),
        (&serde_json::json!(metadata), &serde_json::json!(targets))
    );
    assert_eq!((&names["online"], names["current"].as_object().unwrap().len()), (&false.into(), 6));
    let kernel = running.get(&format!("/objects/{}", image.manifest.kernel.object.id)).await;
    assert_eq!(kernel.body, publication.objects[&image.manifest.kernel.object.id]);
    let metrics = running.get("/metrics").await.text();
    assert!(metrics.contains(&format!("\nbascule_store_objects {}\n", ids.len())), "{metrics}");
}

#[tokio::test]
async fn a_bad_pack_leaves_nothing() {
    let running = start().await;
    let good = pack([b"one".as_slice(), b"two".as_slice()]);
    let mut wrong_digest = pack([b"one".as_slice(), b"two".as_slice()]);
    *wrong_digest.last_mut().unwrap() ^= 1;
    let mut giant = good.clone();
    giant.extend([0; 32]);
    giant.extend(u32::MAX.to_le_bytes());
    for (body, text) in [
        (wrong_digest, "digest does not match"),
        (good[..good.len() - 1].to_vec(), "ends after 2 of 3 bytes"),
        (good[..40].to_vec(), "ends after 1 of 36 bytes"),
        (giant, "expected at most"),
    ] {
        let got = running.call("PUT", "/v1/objects", &body).await;
        assert_eq!(got.status, 422, "{}", got.text());
        assert!(got.text().contains(text), "{}", got.text());
        assert!(store_is_empty(&running));
    }
    // Half a body, then silence and the end of the connection.
    let head = format!(
        "PUT /v1/objects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        running.token,
        good.len()
    );
    {
        let mut stream = crate::support::client::connect(running.server.admin).await;
        let bytes = [head.as_bytes(), &good[..50]].concat();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let _ = crate::support::client::read_all(&mut stream).await;
    }
    let got = running.call("PUT", "/v1/objects", &good).await;
    assert_eq!(got.json(), serde_json::json!({ "stored": 2, "present": 0 }));
    assert_eq!(files(&running.data().join("objects")).len(), 2);
    assert_eq!(files(&running.data().join("tmp")), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_declare_their_length_and_keep_to_limits() {
    let running = start().await;
    let authorization = format!("Authorization: Bearer {}\r\n", running.token);
    for (headers, status) in [
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 411),
        ("", 411),
        ("Content-Length: 67108865\r\n", 413),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
    ] {
        for (method, path) in
            [("PUT", "/v1/objects"), ("POST", "/v1/commit"), ("POST", "/v1/objects/missing")]
        {
            let got =
                request(running.server.admin, method, path, &format!("{authorization}{headers}"), b"").await;
            assert_eq!(got.status, status, "{method} {path} {headers} {}", got.text());
        }
    }
    let many = serde_json::json!({ "ids": vec!["a".repeat(64); 10_001] }).to_string();
    let got = running.call("POST", "/v1/objects/missing", many.as_bytes()).await;
    assert_eq!(got.status, 400, "{}", got.text());
    for bad in [r#"{"ids":["../x"]}"#, r#"{"ids":[]} x"#, r#"{"ids":[],"x":1}"#, "[]", ""] {
        let got = running.call("POST", "/v1/objects/missing", bad.as_bytes()).await;
        assert_eq!(got.status, 400, "{bad}");
    }
    let text = format!("PUT /v1/objects HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: -1\r\n\r\n");
    assert!(raw(running.server.admin, text.as_bytes()).await.starts_with(b"HTTP/1.1 400"));
}

#[tokio::test]
async fn a_commit_that_does_not_verify_changes_nothing() {
    let running = start().await;
    let (mut publication, _) = one_image();
    let refused = running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("objects are missing from the store"), "{}", refused.text());
    assert!(store_is_empty(&running));
    running.publish(&publication).await;
    let before = running.get("/metadata/timestamp.json").await.body;

    // Other keys; a changed byte; not a file of ours; no JSON.
    let mut stranger = Publication::signed_at(server::app::now(), signing::repo::Lifetimes::default(), 100);
    stranger.image("ha@1", 1);
    stranger.sign();
    running.call("PUT", "/v1/objects", &stranger.pack()).await;
    let got = running.call("POST", "/v1/commit", &stranger.commit()).await;
    assert!(matches!(got.status, 409 | 422), "{} {}", got.status, got.text());

    publication.image("ha@2", 2);
    publication.sign();
    running.call("PUT", "/v1/objects", &publication.pack()).await;
    let newest = publication.metadata.keys().rfind(|name| name.ends_with(".releases.json")).unwrap().clone();
    let good = publication.metadata[&newest].clone();
    let broken = String::from_utf8(good.clone()).unwrap().replace("ha@2", "ha@3");
    publication.metadata.insert(newest.clone(), broken.into_bytes());
    let got = running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(got.status, 422, "{}", got.text());
    publication.metadata.insert(newest, good);
    publication.metadata.insert("../../admin.token".into(), b"x".to_vec());
    let got = running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(got.status, 422, "{}", got.text());
    publication.metadata.remove("../../admin.token");
    assert_eq!(running.call("POST", "/v1/commit", b"{").await.status, 400);
    assert_eq!(running.get("/metadata/timestamp.json").await.body, before);

    assert_eq!(running.call("POST", "/v1/commit", &publication.commit()).await.status, 200);
    assert_ne!(running.get("/metadata/timestamp.json").await.body, before);
}

#[tokio::test]
async fn going_back_is_a_conflict() {
    let running = start().await;
    let (mut publication, _) = one_image();
    let old = publication.commit();
    running.publish(&publication).await;
    publication.image("ha@2", 2);
    publication.sign();
    running.publish(&publication).await;
    let got = running.call("POST", "/v1/commit", &old).await;
    assert_eq!(got.status, 409, "{}", got.text());
}
