//! Snapshot and timestamp signed by the server: on commit, on time, and what is told when it cannot.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use image_format::repository::load_view;
use image_format::store::Store;
use server::clock::Clock;
use server::net::Limits;
use server::online::{KeyDir, KeyDirError, OnlineSettings, Plan};
use server::server::{Server, StartError};
use signing::UnixTime;
use signing::online::OnlineKeys;
use signing::repo::{Lifetimes, RoleName};
use tempfile::TempDir;

use crate::support::publication::{Publication, commit_of};
use crate::support::{Running, settings, soon};

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// A server with keys of its own, at a time that the test sets.
struct Online {
    running: Running,
    time: Arc<AtomicI64>,
}

/// A data directory with keys.
fn with_keys() -> (TempDir, OnlineKeys) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let keys = KeyDir::of(&data).make(false).unwrap();
    (dir, keys)
}

async fn start_at(dir: TempDir, time: UnixTime, plan: Plan) -> Online {
    let time = Arc::new(AtomicI64::new(time.0));
    let clock = {
        let time = time.clone();
        Clock::new(move || UnixTime(time.load(Ordering::SeqCst)))
    };
    // The tests look themselves.
    let look = Duration::from_secs(86_400);
    let mut settings = settings(&dir, Limits::default());
    settings.online = OnlineSettings { plan, clock, look };
    let server = Server::start(settings).await.unwrap();
    let token = server.app().token.read().unwrap();
    let online = Online { running: Running { dir, server, token }, time };
    // The first look is the server's.
    let mut looks = online.running.server.app().online.looks();
    soon("the first look", looks.wait_for(|looks| *looks > 0)).await.unwrap();
    drop(looks);
    online
}

/// A server with `ha@1`, signed now, and its admin.
async fn published() -> (Online, Publication) {
    published_with(Lifetimes::default()).await
}

async fn published_with(lifetimes: Lifetimes) -> (Online, Publication) {
    let (dir, keys) = with_keys();
    let now = server::app::now();
    let mut publication = Publication::online(now, lifetimes, &keys);
    publication.image("ha@1", 1);
    publication.pin("rack", "ha@1");
    publication.sign();
    let online = start_at(dir, now, Plan::default()).await;
    online.publish(&publication).await;
    (online, publication)
}

impl Online {
    fn data(&self) -> PathBuf {
        self.running.data()
    }

    fn now(&self) -> UnixTime {
        UnixTime(self.time.load(Ordering::SeqCst))
    }

    fn sleep(&self, seconds: i64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Publishes, and lets the look end that follows a publication.
    async fn publish(&self, publication: &Publication) {
        let mut looks = self.running.server.app().online.looks();
        let before = *looks.borrow_and_update();
        self.running.publish(publication).await;
        soon("a look", looks.wait_for(|looks| *looks > before)).await.unwrap();
    }

    /// Looks at once for what is due.
    async fn look(&self) {
        let app = self.running.server.app().clone();
        tokio::task::spawn_blocking(move || app.online.look(&app.content, &app.metrics)).await.unwrap();
    }

    /// Versions of snapshot and timestamp.
    fn versions(&self) -> (u64, u64) {
        versions(&self.data())
    }

    fn expires(&self, role: &str) -> UnixTime {
        load_view(&Store::open(self.data()).unwrap()).unwrap().unwrap().expiries[role]
    }

    async fn ready(&self) -> (u16, String) {
        let got = self.running.get("/readyz").await;
        (got.status, got.text())
    }

    async fn metric(&self, name: &str) -> i64 {
        let text = self.running.get("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
    }

    async fn restart(self, plan: Plan) -> Self {
        let (time, Running { dir, server, .. }) = (self.now(), self.running);
        server.stop().await;
        start_at(dir, time, plan).await
    }
}

fn versions(data: &Path) -> (u64, u64) {
    let view = load_view(&Store::open(data).unwrap()).unwrap().unwrap();
    (view.versions["snapshot"], view.versions["timestamp"])
}

#[tokio::test]
async fn what_comes_without_a_snapshot_is_completed() {
    let (online, mut publication) = published().await;
    assert!(publication.metadata.keys().all(|name| !name.contains("snapshot") && name != "timestamp.json"));
    assert_eq!(online.versions(), (1, 1));
    assert_eq!(online.expires("timestamp"), online.now().plus_seconds(DAY));
    assert_eq!(online.expires("snapshot"), online.now().plus_seconds(7 * DAY));
    assert_eq!(online.ready().await, (200, "ok\n".into()));

    let names = online.running.call("GET", "/v1/metadata", b"").await.json();
    assert_eq!(names["online"], true);
    let roles: Vec<&String> = names["current"].as_object().unwrap().keys().collect();
    assert_eq!(roles, ["pins", "releases", "root", "snapshot", "targets", "timestamp"]);
    let pins = image_format::Sha256::of(&publication.metadata["1.pins.json"]);
    assert_eq!(names["current"]["pins"], serde_json::json!({ "version": 1, "sha256": pins }));

    // The same again is nothing new; a change is a new snapshot.
    online.publish(&publication).await;
    assert_eq!(online.versions(), (1, 1));
    online.sleep(60);
    publication.image("ha@2", 2);
    publication.sign();
    online.publish(&publication).await;
    assert_eq!(online.versions(), (2, 2));
    assert_eq!(online.expires("timestamp"), online.now().plus_seconds(DAY));
    let expiry = online.metric("bascule_metadata_expiry_timestamp_seconds{role=\"timestamp\"}").await;
    assert_eq!(expiry, online.expires("timestamp").0);
    assert_eq!(online.metric("bascule_resign_last_success_timestamp_seconds").await, online.now().0);
    // What is published can be read where it is published to, too.
    for path in ["/metadata/timestamp.json", "/metadata/2.snapshot.json"] {
        let there = crate::support::client::request(online.running.server.admin, "GET", path, "", b"").await;
        assert_eq!((there.status, there.body), (200, online.running.get(path).await.body), "{path}");
    }
}

#[tokio::test]
async fn a_timestamp_is_signed_every_hour_and_a_snapshot_every_half_week() {
    let (online, _) = published().await;
    online.sleep(HOUR - 1);
    online.look().await;
    assert_eq!(online.versions(), (1, 1));
    online.sleep(1);
    online.look().await;
    online.look().await;
    assert_eq!(online.versions(), (1, 2));
    assert_eq!(online.expires("timestamp"), online.now().plus_seconds(DAY));
    assert_eq!(online.metric("bascule_resign_last_success_timestamp_seconds").await, online.now().0);
    for _ in 0..85 {
        online.sleep(HOUR);
        online.look().await;
        assert_eq!(online.ready().await.0, 200);
    }
    assert_eq!(online.versions(), (2, 87), "a new snapshot after 84 hours and a bit");
    assert_eq!(online.metric("bascule_resign_failures_total").await, 0);
    // A restart signs nothing that is not due.
    let online = online.restart(Plan::default()).await;
    assert_eq!(online.versions(), (2, 87));
    online.sleep(HOUR);
    let online = online.restart(Plan::default()).await;
    assert_eq!(online.versions(), (2, 88), "and at once what is");
    // Killed between the signature and the note of it: once too often is no fault.
    std::fs::remove_file(online.data().join("last-signed.json")).unwrap();
    online.look().await;
    assert_eq!(online.versions(), (2, 89));
}

#[tokio::test]
async fn the_task_signs_by_itself() {
    let (dir, keys) = with_keys();
    let now = server::app::now();
    let time = Arc::new(AtomicI64::new(now.0));
    let read = time.clone();
    let mut settings = settings(&dir, Limits::default());
    settings.online.clock = Clock::new(move || UnixTime(read.load(Ordering::SeqCst)));
    settings.online.look = Duration::from_millis(5);
    let server = Server::start(settings).await.unwrap();
    let token = server.app().token.read().unwrap();
    let running = Running { dir, server, token };
    let mut publication = Publication::online(now, Lifetimes::default(), &keys);
    publication.sign();
    running.publish(&publication).await;
    time.fetch_add(HOUR, Ordering::SeqCst);
    let mut looks = running.server.app().online.looks();
    let signed = async {
        while versions(&running.data()) != (1, 2) {
            looks.changed().await.unwrap();
        }
    };
    soon("a new timestamp", signed).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_told_and_mended_without_a_restart() {
    let (online, mut publication) = published().await;
    let key = online.data().join("online/timestamp.pem");
    let set = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o644);
    online.sleep(HOUR);
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    assert!(text.starts_with("snapshot and timestamp are not signed: online keys: "), "{text}");
    assert!(text.contains("timestamp.pem: expected mode 0600, found 0644"), "{text}");
    assert_eq!(online.metric("bascule_resign_failures_total").await, 1);
    assert_eq!(online.running.get("/metadata/timestamp.json").await.status, 200, "delivery goes on");
    // An admin reads the same reason, and nothing of the key.
    publication.pin("lab", "ha@1");
    publication.sign();
    let refused = online.running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(refused.status, 500);
    let error = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("expected mode 0600, found 0644") && error.ends_with("nothing was changed"),
        "{error}"
    );
    // 18 hours later it is late, and said.
    online.sleep(18 * HOUR);
    online.look().await;
    let (_, text) = online.ready().await;
    assert!(text.contains("\nwarning: metadata of role timestamp expires in 5 hours\n"), "{text}");
    assert_eq!(online.metric("bascule_resign_failures_total").await, 2);
    online.sleep(5 * HOUR);
    let (_, text) = online.ready().await;
    assert!(text.contains("\nmetadata of role timestamp expired 0 s ago\n"), "{text}");

    set(0o600);
    online.look().await;
    assert_eq!(online.ready().await, (200, "ok\n".into()));
    assert_eq!(online.versions(), (1, 2));
    online.publish(&publication).await;
    assert_eq!(online.versions(), (2, 3));
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_told_and_mended_without_a_restart() {
    let (online, _) = published().await;
    let (tmp, aside) = (online.data().join("tmp"), online.data().join("tmp-aside"));
    std::fs::rename(&tmp, &aside).unwrap();
    std::fs::write(&tmp, "in the way").unwrap();
    online.sleep(HOUR);
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    assert!(text.contains("snapshot and timestamp are not signed: create directory "), "{text}");
    assert_eq!(online.metric("bascule_resign_failures_total").await, 1);
    std::fs::remove_file(&tmp).unwrap();
    std::fs::rename(&aside, &tmp).unwrap();
    assert_eq!(online.versions(), (1, 1));
    online.look().await;
    assert_eq!(online.versions(), (1, 2));
    // The probe of the disk is a second old at most.
    let ready = async {
        while online.ready().await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("readiness", ready).await;
}

#[tokio::test]
async fn keys_that_are_gone_are_missed() {
    let (online, _) = published().await;
    let (keys, aside) = (online.data().join("online"), online.data().join("aside"));
    std::fs::create_dir(&aside).unwrap();
    for file in ["snapshot.pem", "timestamp.pem"] {
        std::fs::rename(keys.join(file), aside.join(file)).unwrap();
    }
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    assert!(text.contains("has none any more") && text.contains("imgserver keys new"), "{text}");
    for file in ["snapshot.pem", "timestamp.pem"] {
        std::fs::rename(aside.join(file), keys.join(file)).unwrap();
    }
    online.look().await;
    assert_eq!(online.ready().await, (200, "ok\n".into()));
}

#[tokio::test]
async fn a_server_does_not_start_with_keys_that_are_not_its_own() {
    for name in ["pins.pem", "releases.pem", "root-1.pem"] {
        let (dir, _) = with_keys();
        let foreign = dir.path().join("data/online").join(name);
        std::fs::write(&foreign, "x").unwrap();
        let error = Server::start(settings(&dir, Limits::default())).await.unwrap_err();
        assert!(
            matches!(&error, StartError::Keys(KeyDirError::Foreign(path)) if *path == foreign),
            "{error}"
        );
    }
    let (dir, _) = with_keys();
    let key = dir.path().join("data/online/snapshot.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = Server::start(settings(&dir, Limits::default())).await.unwrap_err();
    assert!(matches!(error, StartError::Keys(KeyDirError::Mode { found: 0o640, .. })), "{error}");
    std::fs::remove_file(&key).unwrap();
    let error = Server::start(settings(&dir, Limits::default())).await.unwrap_err();
    assert!(matches!(error, StartError::Keys(KeyDirError::Half { role: "snapshot", .. })), "{error}");
}

#[tokio::test]
async fn keys_that_the_root_does_not_list_are_told_until_it_does() {
    let (dir, keys) = with_keys();
    let now = server::app::now();
    let online = start_at(dir, now, Plan::default()).await;
    // An admin who signs all by himself.
    let mut publication = Publication::signed_at(now, Lifetimes::default(), 0);
    publication.image("ha@1", 1);
    publication.sign();
    online.publish(&publication).await;
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    let ours = keys.public(signing::online::OnlineRole::Snapshot)[0].id();
    for word in [
        "the root (version 1) does not list this server's keys",
        &format!("the server has {ours}"),
        "imgserver keys show",
        "imgtool root prepare --add-key snapshot=FILE",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(online.running.get("/metadata/timestamp.json").await.status, 200);
    // He can go on as before, but not without snapshot and timestamp.
    publication.pin("rack", "ha@1");
    publication.sign();
    let mut half = publication.clone_files();
    half.metadata.retain(|name, _| !name.contains("snapshot") && name != "timestamp.json");
    let refused = online.running.call("POST", "/v1/commit", &commit_of(&half)).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("does not list this server's keys"), "{}", refused.text());
    online.publish(&publication).await;
    let before = online.versions();

    publication.hand_over(&keys);
    online.publish(&publication).await;
    assert_eq!(online.versions(), (before.0 + 1, before.1 + 1));
    online.look().await;
    assert_eq!(online.ready().await, (200, "ok\n".into()));
    online.sleep(HOUR);
    online.look().await;
    assert_eq!(online.versions().1, before.1 + 2);
    // And to the next keys, without a pause: both are there while the root changes.
    let both = KeyDir::of(&online.data()).make(true).unwrap();
    publication.hand_over_to_newest(&both);
    online.publish(&publication).await;
    for old in ["snapshot.pem", "timestamp.pem"] {
        std::fs::remove_file(online.data().join("online").join(old)).unwrap();
    }
    online.sleep(HOUR);
    online.look().await;
    assert_eq!(online.ready().await, (200, "ok\n".into()));
}

#[tokio::test]
async fn roles_that_people_sign_are_warned_of_and_end_the_signing_when_they_expire() {
    let lifetimes = Lifetimes { delegated: 20, ..Lifetimes::default() };
    let (online, mut publication) = published_with(lifetimes).await;
    let hours = |online: &Online, hours: i64| online.sleep(hours * HOUR);
    hours(&online, 6 * 24);
    online.look().await;
    assert_eq!(online.ready().await, (200, "ok\n".into()));
    hours(&online, 1);
    online.look().await;
    let (status, text) = online.ready().await;
    let warning = |role: &str| format!("warning: metadata of role {role} expires in 13 days\n");
    assert_eq!((status, text), (200, format!("ok\n{}{}", warning("pins"), warning("releases"))));
    hours(&online, 14 * 24);
    let before = online.versions();
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    assert!(text.starts_with("snapshot and timestamp are not signed: metadata is not trusted: "), "{text}");
    assert!(text.contains("metadata of role pins expired 3600 s ago"), "{text}");
    assert_eq!(online.versions(), before);
    // The admin signs anew: that is all it takes.
    publication.renew_at(online.now(), &[RoleName::Releases, RoleName::Pins]);
    online.publish(&publication).await;
    online.look().await;
    assert_eq!(online.ready().await.0, 200);
}

#[tokio::test]
async fn a_clock_that_went_back_signs_nothing_until_it_is_right() {
    let (online, mut publication) = published().await;
    online.sleep(HOUR);
    online.look().await;
    assert_eq!(online.versions(), (1, 2));
    online.sleep(-400 * DAY);
    online.look().await;
    let (status, text) = online.ready().await;
    assert_eq!(status, 503);
    assert!(text.contains("the clock says") && text.contains("--accept-earlier-clock"), "{text}");
    publication.pin("lab", "ha@1");
    publication.sign();
    let refused = online.running.call("POST", "/v1/commit", &publication.commit()).await;
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("the clock says"), "{}", refused.text());
    // Also after a restart.
    let online = online.restart(Plan::default()).await;
    assert_eq!((online.versions(), online.ready().await.0), ((1, 2), 503));
    online.sleep(400 * DAY + HOUR);
    online.look().await;
    assert_eq!((online.versions(), online.ready().await), ((1, 3), (200, "ok\n".into())));
    online.publish(&publication).await;
}

#[tokio::test]
async fn a_clock_that_was_ahead_is_mended_by_one_start_with_consent() {
    let (online, _) = published().await;
    online.sleep(100 * DAY);
    online.look().await;
    assert_eq!(online.versions().1, 2);
    online.sleep(-100 * DAY);
    online.look().await;
    assert_eq!(online.ready().await.0, 503);
    let online = online.restart(Plan::default().accept_earlier_clock(true)).await;
    assert_eq!(online.versions().1, 3);
    assert_eq!(online.expires("timestamp"), online.now().plus_seconds(DAY));
    let online = online.restart(Plan::default()).await;
    assert_eq!((online.versions().1, online.ready().await.0), (3, 200));
    // Further ahead than what people have signed: nothing is signed at all.
    online.sleep(1000 * DAY);
    online.look().await;
    online.sleep(-1000 * DAY);
    online.look().await;
    assert_eq!((online.versions().1, online.ready().await.0), (3, 200));
}
