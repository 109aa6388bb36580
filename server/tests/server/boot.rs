//! Boot scripts, reports and the node list.

use fleet_protocol::report::Quarantined;
use fleet_protocol::{Event, Health, NodeView, Report, SlotReport, SlotStateName};
use image_format::Slot;

use crate::support::client::{Response, raw};
use crate::support::publication::{Publication, one_image};
use crate::support::{Running, start};

const NODE: &str = "52-54-00-12-34-56";

fn report(publication_image: &str) -> Report {
    Report {
        node: NODE.parse().unwrap(),
        group: Some("rack".parse().unwrap()),
        event: Event::Confirmed,
        message: "all checks passed".into(),
        slot: Some(Slot::A),
        image: Some(publication_image.parse().unwrap()),
        manifest: None,
        attempt: Some(1),
        health: Health::Healthy,
        slots: vec![SlotReport {
            slot: Slot::A,
            state: SlotStateName::Confirmed,
            image: Some(publication_image.parse().unwrap()),
        }],
        quarantine: vec![],
        fetched_bytes: Some(7),
        kernel: "6.1".into(),
        agent: "0.1".into(),
    }
}

async fn send(running: &Running, report: &Report) -> Response {
    running.report(report.node.as_str(), &serde_json::to_vec(report).unwrap()).await
}

async fn nodes(running: &Running) -> Vec<NodeView> {
    serde_json::from_value(running.call("GET", "/v1/nodes", b"").await.json()).unwrap()
}

#[tokio::test]
async fn a_node_without_identity_is_asked_for_it() {
    let running = start().await;
    for path in ["/boot.ipxe", "/boot.ipxe.0", "/boot.ipxe?"] {
        let got = running.get(path).await;
        assert_eq!((got.status, got.header("cache-control")), (200, "no-store"));
        let chain =
            format!("chain --replace http://{}/boot.ipxe?mac=${{netX/mac:hexhyp}}&", running.server.delivery);
        assert!(got.text().starts_with("#!ipxe\n") && got.text().contains(&chain), "{}", got.text());
    }
    assert!(nodes(&running).await.is_empty());
}

#[tokio::test]
async fn a_known_node_loads_the_pinned_image_and_is_seen() {
    let running = start().await;
    let (publication, image) = one_image();
    running.publish(&publication).await;
    let got = running.get("/boot.ipxe?mac=52:54:00:12:34:56&serial=VM%201&uuid=").await;
    let host = running.server.delivery;
    let kernel = format!("kernel --name kernel http://{host}/objects/{} ", image.manifest.kernel.object.id);
    let initrd = format!("initrd --name initramfs http://{host}/objects/{} ", image.manifest.initramfs.id);
    let admin = format!(" bascule.admin=http://127.0.0.1:{} ", running.server.admin.port());
    for expected in [&kernel, &initrd, &admin, &format!(" bascule.mac={NODE} "), "group rack: ha@1"] {
        assert!(got.text().contains(expected), "{expected}\n{}", got.text());
    }
    let seen = nodes(&running).await;
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].node.as_str(), seen[0].report.as_ref()), (NODE, None));
    assert_eq!(
        (seen[0].group.clone(), seen[0].pinned.clone()),
        (Some("rack".parse().unwrap()), Some("ha@1".parse().unwrap()))
    );
    assert_eq!(seen[0].identity["serial"], "VM 1");
    assert_eq!(
        (seen[0].events[0].event.as_str(), seen[0].events[0].message.as_str()),
        ("boot-request", "given ha@1")
    );
    let one = running.call("GET", &format!("/v1/nodes/{NODE}"), b"").await.json();
    assert_eq!(serde_json::from_value::<NodeView>(one).unwrap(), seen[0]);
    assert_eq!(running.call("GET", "/v1/nodes/other", b"").await.status, 404);
}

#[tokio::test]
async fn every_other_node_reads_why_and_goes_on_with_its_disk() {
    let running = start().await;
    let leaves = async |mac: &str, reason: &str| {
        let text = running.get(&format!("/boot.ipxe?mac={mac}")).await.text();
        assert!(text.contains(reason) && text.contains(mac), "{text}");
        assert!(text.ends_with("sleep 5\nexit\n") && !text.contains("kernel "), "{text}");
    };
    leaves(NODE, "nothing is published on this server").await;
    let (mut publication, _) = one_image();
    publication.assign("52-54-00-00-00-02", "empty");
    publication.sign();
    running.publish(&publication).await;
    leaves("52-54-00-00-00-01", "is in no group").await;
    leaves("52-54-00-00-00-02", "group empty is not pinned").await;
    let metrics = running.get("/metrics").await.text();
    assert!(metrics.contains("bascule_boot_scripts_total{outcome=\"left\"} 3"), "{metrics}");
}

#[tokio::test]
async fn a_quarantined_image_is_not_offered_again() {
    let running = start().await;
    let mut publication = Publication::new();
    let good = publication.image("ha@1", 1);
    let bad = publication.image("ha@2", 2);
    publication.pin("rack", "ha@2");
    publication.assign(NODE, "rack");
    publication.sign();
    running.publish(&publication).await;
    let script = format!("/boot.ipxe?mac={NODE}");
    let kernel =
        |image: &crate::support::publication::Image| format!("/objects/{} ", image.manifest.kernel.object.id);
    assert!(running.get(&script).await.text().contains(&kernel(&bad)));

    let reason = "check web: refused || reboot\n${x}".to_owned();
    let quarantined = Quarantined { image: "ha@2".parse().unwrap(), manifest: bad.digest, reason };
    let rolled_back = Report {
        event: Event::RolledBack,
        quarantine: vec![quarantined],
        health: Health::Healthy,
        ..report("ha@1")
    };
    assert_eq!(send(&running, &rolled_back).await.status, 204);
    let text = running.get(&script).await.text();
    assert!(text.contains(&kernel(&good)) && !text.contains(&kernel(&bad)), "{text}");
    assert!(
        text.contains(
            "\n# Not the pinned image: ha@2 failed on this node before: check web: refused // reboot??{x}\n"
        ),
        "{text}"
    );

    // An admin has lifted the quarantine on the node.
    assert_eq!(send(&running, &report("ha@1")).await.status, 204);
    assert!(running.get(&script).await.text().contains(&kernel(&bad)));
}

#[tokio::test]
async fn reports_are_kept_and_shown() {
    let running = start().await;
    let taken = send(&running, &report("ha@1")).await;
    assert_eq!((taken.status, taken.header("content-length"), taken.body.len()), (204, "", 0));
    let seen = nodes(&running).await;
    assert_eq!(seen[0].report, Some(report("ha@1")));
    assert_eq!((seen[0].group.clone(), seen[0].events[0].event.as_str()), (None, "confirmed"));
    assert!(running.get("/metrics").await.text().contains("bascule_nodes{health=\"healthy\"} 1"));

    let dir = running.dir;
    running.server.stop().await;
    let running = crate::support::start_in(dir, server::net::Limits::default()).await.unwrap();
    assert_eq!(nodes(&running).await, seen);
    assert!(running.get("/metrics").await.text().contains("bascule_nodes{health=\"healthy\"} 1"));
}

#[tokio::test]
async fn bad_reports_are_refused() {
    let running = start().await;
    let good = serde_json::to_vec(&report("ha@1")).unwrap();
    let other = running.report("52-54-00-00-00-99", &good).await;
    assert_eq!(other.status, 400);
    assert!(
        other.json()["error"]
            .as_str()
            .unwrap()
            .contains("expected node 52-54-00-00-00-99, found 52-54-00-12-34-56")
    );
    for (node, body, status) in [
        (NODE, b"{}".to_vec(), 400),
        (NODE, good[..good.len() - 1].to_vec(), 400),
        (NODE, vec![b'['; 60_000], 400),
        (NODE, vec![b' '; (64 << 10) + 1], 413),
        (NODE, serde_json::to_vec(&Report { message: "x".repeat(2000), ..report("ha@1") }).unwrap(), 422),
        ("..", good.clone(), 400),
        ("A", good.clone(), 400),
    ] {
        let got = running.report(node, &body).await;
        assert_eq!(got.status, status, "{node} {}", got.text());
    }
    assert!(nodes(&running).await.is_empty());
    let old = running.call("GET", &format!("/v1/nodes/{NODE}/report"), b"").await;
    assert_eq!((old.status, old.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn a_hostile_host_does_not_reach_a_script() {
    let running = start().await;
    for host in ["a${mac}", "x/../y", "a b", "evil||reboot", "a:b", "é", ""] {
        let text = format!("GET /boot.ipxe HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = Response::parse(&raw(running.server.delivery, text.as_bytes()).await).unwrap();
        assert_eq!(answer.status, 400, "{host}: {}", answer.text());
    }
    let none = raw(running.server.delivery, b"GET /boot.ipxe HTTP/1.0\r\n\r\n").await;
    assert_eq!(Response::parse(&none).unwrap().status, 400);
}
