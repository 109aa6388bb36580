//! Health, readiness, and two parties on one directory.

use image_format::repository::{Repository, Upload};
use image_format::store::Store;
use server::net::Limits;
use server::server::{Server, StartError};
use signing::repo::Lifetimes;

use crate::support::publication::{Publication, one_image};
use crate::support::{settings, start, start_in};

#[tokio::test]
async fn a_fresh_server_is_ready_and_says_where_it_listens() {
    let running = start().await;
    assert_eq!(running.get("/healthz").await.text(), "ok\n");
    assert_eq!(running.get("/readyz").await.text(), "ok; nothing is published yet\n");
    let listen: serde_json::Value =
        serde_json::from_slice(&std::fs::read(running.data().join("listen.json")).unwrap()).unwrap();
    assert_eq!(listen["delivery"], running.server.delivery.to_string());
    assert_eq!(listen["admin"], running.server.admin.to_string());
}

#[tokio::test]
async fn expired_metadata_is_not_ready_but_still_served() {
    let running = start().await;
    // Verified when it came, over a moment later: the timestamp lives for a day, and was signed a day ago.
    let now = server::app::now();
    let lifetimes = Lifetimes { timestamp: 1, ..Lifetimes::default() };
    let mut publication = Publication::signed_at(now.plus_seconds(2 - 86_400), lifetimes, 0);
    publication.image("ha@1", 1);
    publication.sign();
    running.publish(&publication).await;
    let expired = async {
        loop {
            let got = running.get("/readyz").await;
            if got.status == 503 {
                return got.text();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let text = crate::support::soon("the expiry", expired).await;
    assert!(text.starts_with("metadata of role timestamp expired"), "{text}");
    assert_eq!(running.get("/metadata/timestamp.json").await.status, 200);
    let metrics = running.get("/metrics").await.text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("bascule_metadata_expires_in_seconds{role=\"timestamp\"}"));
    let seconds: i64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((-20..=0).contains(&seconds), "{line:?}");
}

#[tokio::test]
async fn damaged_metadata_is_not_ready_and_a_node_reads_why() {
    let running = start().await;
    let (publication, _) = one_image();
    running.publish(&publication).await;
    let data = running.data();
    let (snapshot, timestamp) =
        (data.join("tuf/metadata/1.snapshot.json"), data.join("tuf/metadata/timestamp.json"));
    std::fs::write(snapshot, "{}").unwrap();
    // Looks like a publication.
    std::fs::copy(&timestamp, data.join("tmp/timestamp")).unwrap();
    std::fs::rename(data.join("tmp/timestamp"), timestamp).unwrap();
    assert_eq!(running.call("GET", "/v1/nodes", b"").await.status, 200);
    assert_eq!(running.get("/readyz").await.status, 503);
    // A running server goes on with what it had verified.
    let script = running.get("/boot.ipxe?mac=52-54-00-12-34-56").await.text();
    assert!(script.contains("group rack: ha@1"), "{script}");

    let dir = running.dir;
    running.server.stop().await;
    let running = start_in(dir, Limits::default()).await.unwrap();
    let got = running.get("/readyz").await;
    assert_eq!(got.status, 503);
    assert!(got.text().starts_with("metadata cannot be loaded: "), "{}", got.text());
    assert_eq!(running.get("/healthz").await.status, 200);
    let script = running.get("/boot.ipxe?mac=52-54-00-12-34-56").await.text();
    assert!(script.contains("what is published on this server cannot be verified"), "{script}");
}

#[tokio::test]
async fn a_publication_straight_into_the_directory_is_noticed() {
    let running = start().await;
    let (publication, _) = one_image();
    let data = running.data();
    let store = Store::open(&data).unwrap();
    let mut batch = store.batch().unwrap();
    for object in publication.objects.values() {
        batch.put(object).unwrap();
    }
    batch.commit().unwrap();
    let upload = Upload {
        metadata: publication.metadata.clone(),
        targets: publication.targets.clone(),
        ..Upload::default()
    };
    Repository::open(&store).commit(upload, server::app::now()).unwrap();
    // The node list looks, as the housekeeping does every second.
    assert_eq!(running.call("GET", "/v1/nodes", b"").await.status, 200);
    let script = running.get("/boot.ipxe?mac=52-54-00-12-34-56").await.text();
    assert!(script.contains("group rack: ha@1"), "{script}");
}

#[tokio::test]
async fn a_directory_has_one_server() {
    let running = start().await;
    let second = Server::start(settings(&running.dir, Limits::default())).await;
    assert!(matches!(second.unwrap_err(), StartError::InUse(_)));
    assert_eq!(running.get("/healthz").await.status, 200);
    assert!(running.data().join("listen.json").exists());
    let dir = running.dir;
    running.server.stop().await;
    start_in(dir, Limits::default()).await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = start().await;
    let other = tempfile::tempdir().unwrap();
    let taken =
        server::settings::Settings { listen: running.server.delivery, ..settings(&other, Limits::default()) };
    let error = Server::start(taken).await.unwrap_err();
    assert!(
        matches!(error, StartError::Bind { address, .. } if address == running.server.delivery),
        "{error}"
    );
}
