//! Damage in the store is found, moved away and told; packs come and go beside a running server.

use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use image_format::store::Store;
use server::care::ScrubSettings;
use server::net::Limits;
use server::server::Server;
use server::settings::Settings;

use crate::support::client::request;
use crate::support::publication::one_image;
use crate::support::{settings, soon, start};

#[tokio::test]
async fn damage_is_found_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let (publication, image) = one_image();
    let data = dir.path().join("data");
    publication.commit_to(&data);
    let store = Store::open(&data).unwrap();
    let id = image.manifest.kernel.object.id;
    let extent = store.open_object(id).unwrap().unwrap();
    let pack = std::fs::read_dir(data.join("packs")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::OpenOptions::new().write(true).open(pack).unwrap();
    file.write_all_at(b"damage", extent.offset).unwrap();

    let rate = NonZeroU64::new(1 << 30);
    let scrub = ScrubSettings { rate, first: Duration::ZERO, ..ScrubSettings::default() };
    let server = Server::start(Settings { scrub, ..settings(&dir, Limits::default()) }).await.unwrap();
    let passed = async {
        loop {
            let metrics = request(server.delivery, "GET", "/metrics", "", b"").await.text();
            if metrics.contains("bascule_scrub_passes_total 1") {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let metrics = soon("a pass", passed).await;
    for line in [
        format!("bascule_scrub_objects_total {}", publication.objects.len()),
        "bascule_scrub_damaged_total 1".into(),
        "bascule_scrub_quarantined_total 1".into(),
        "bascule_scrub_repaired_total 0".into(),
        "bascule_scrub_failures_total 0".into(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    // What is damaged is not there; everything else is.
    for (object, bytes) in &publication.objects {
        let got = request(server.delivery, "GET", &format!("/objects/{object}"), "", b"").await;
        if *object == id {
            assert_eq!(got.status, 404);
        } else {
            assert_eq!((got.status, &got.body), (200, bytes));
        }
    }
    // An answer stands for a second.
    let warned = async {
        loop {
            let ready = request(server.delivery, "GET", "/readyz", "", b"").await;
            assert_eq!(ready.status, 200);
            if ready.text().contains("warning") {
                return ready.text();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ready = soon("a warning", warned).await;
    assert!(
        ready.contains(&format!("warning: 1 object was damaged and is missing, such as {id}: ")),
        "{ready}"
    );
    let metrics = request(server.delivery, "GET", "/metrics", "", b"").await.text();
    assert!(metrics.contains("bascule_store_quarantine_missing 1"), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn packs_may_go_beside_a_running_server() {
    let running = start().await;
    let (publication, image) = one_image();
    running.publish(&publication).await;
    let id = image.manifest.kernel.object.id;
    let path = format!("/objects/{id}");
    assert_eq!(running.get(&path).await.status, 200);
    // Another process turns the packs into files, and one of them goes.
    Store::open(running.data()).unwrap().unpack().unwrap();
    assert_eq!(running.get(&path).await.body, publication.objects[&id]);
    let other = image.manifest.initramfs.id;
    std::fs::remove_file(running.data().join(other.object_path())).unwrap();
    let gone = async { while running.get(&format!("/objects/{other}")).await.status != 404 {} };
    soon("the housekeeping", gone).await;
    assert_eq!(running.get(&path).await.body, publication.objects[&id]);
    let batch = running.get(&format!("/batch/{}/0-5", image.manifest.root.index.id)).await;
    assert_eq!(batch.status, 200);
}
