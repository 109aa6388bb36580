//! Nodes with keys: enrolment, signed reports, and everything that is refused.

use fleet_protocol::identity::{BootId, Enrol, Joining, Kind, NodeKey, SignedReport};
use fleet_protocol::join::{JoinToken, NewToken, TokenView};
use fleet_protocol::node::{EnrolmentState, ReportTrust};
use fleet_protocol::{Event, Health, NodeView, Report};
use image_format::Sha256;

use crate::support::client::Response;
use crate::support::publication::one_image;
use crate::support::{Running, start};

const NODE: &str = "52-54-00-12-34-56";
const OTHER: &str = "52-54-00-00-00-99";

/// A machine: its key, its numbers, its boot.
struct Machine {
    node: &'static str,
    key: NodeKey,
    number: u64,
    boot: BootId,
}

impl Machine {
    fn new(node: &'static str, seed: u8) -> Self {
        let key = NodeKey::from_seed(&[seed; 32]).unwrap();
        Self { node, key, number: 0, boot: format!("{seed:02x}").parse().unwrap() }
    }

    fn report(&mut self, message: &str) -> Vec<u8> {
        self.number += 1;
        let signed =
            SignedReport { number: self.number, boot: self.boot.clone(), report: report(self.node, message) };
        self.key.seal(Kind::Report, &serde_json::to_vec(&signed).unwrap())
    }

    fn enrol(&mut self, root: Sha256, token: Option<&JoinToken>) -> Vec<u8> {
        self.number += 1;
        let node: image_format::NodeId = self.node.parse().unwrap();
        let join = token.map(|token| Joining {
            id: token.id,
            group: token.group.clone(),
            proof: token.proof(&node, &self.key.public()),
        });
        let reason = "first boot with this disk".to_owned();
        let enrol = Enrol { node, number: self.number, boot: self.boot.clone(), root, join, reason };
        self.key.seal(Kind::Enrol, &serde_json::to_vec(&enrol).unwrap())
    }
}

fn report(node: &str, message: &str) -> Report {
    Report {
        node: node.parse().unwrap(),
        group: None,
        event: Event::Confirmed,
        message: message.into(),
        slot: None,
        image: None,
        manifest: None,
        attempt: None,
        health: Health::Healthy,
        slots: vec![],
        quarantine: vec![],
        fetched_bytes: None,
        kernel: "6.1".into(),
        agent: "0.1".into(),
    }
}

async fn view(running: &Running, node: &str) -> NodeView {
    let got = running.call("GET", &format!("/v1/nodes/{node}"), b"").await;
    serde_json::from_value(got.json()).unwrap()
}

async fn enrol(running: &Running, node: &str, body: &[u8]) -> Response {
    let path = format!("/v1/nodes/{node}/enrol");
    let length = format!("Content-Length: {}\r\n", body.len());
    crate::support::client::request(running.server.admin, "POST", &path, &length, body).await
}

async fn decide(running: &Running, node: &str, verb: &str, body: &str) -> Response {
    running.call("POST", &format!("/v1/nodes/{node}/{verb}"), body.as_bytes()).await
}

fn error(response: &Response) -> String {
    response.json()["error"].as_str().unwrap().to_owned()
}

fn message(node: &NodeView) -> &str {
    node.report.as_ref().map_or("", |report| &report.message)
}

async fn metric(running: &Running, line: &str) -> bool {
    running.get("/metrics").await.text().lines().any(|found| found == line)
}

#[tokio::test]
async fn a_key_waits_is_approved_and_then_only_it_counts() {
    let running = start().await;
    let mut machine = Machine::new(NODE, 1);
    assert_eq!(running.report(NODE, &serde_json::to_vec(&report(NODE, "plain")).unwrap()).await.status, 204);
    assert_eq!(view(&running, NODE).await.enrolment.state, EnrolmentState::None);

    assert_eq!(running.report(NODE, &machine.report("pending")).await.status, 204);
    let seen = view(&running, NODE).await;
    assert_eq!(
        (seen.enrolment.state, seen.enrolment.report),
        (EnrolmentState::Pending, ReportTrust::Pending)
    );
    assert_eq!((message(&seen), seen.enrolment.reason.as_deref()), ("pending", Some("waits for approval")));
    assert!(metric(&running, "bascule_node_identities{state=\"pending\"} 1").await);

    let approved = decide(&running, NODE, "approve", "").await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    assert_eq!(running.report(NODE, &machine.report("mine")).await.status, 204);
    let seen = view(&running, NODE).await;
    assert_eq!(
        (seen.enrolment.state, seen.enrolment.report),
        (EnrolmentState::Approved, ReportTrust::Approved)
    );
    assert_eq!(seen.enrolment.approved.as_ref().unwrap().number, 2);

    // From now on a plain report is a claim.
    assert_eq!(running.report(NODE, &serde_json::to_vec(&report(NODE, "forged")).unwrap()).await.status, 202);
    let seen = view(&running, NODE).await;
    assert_eq!(message(&seen), "mine");
    let claim = seen.events.iter().find(|event| event.message == "forged").unwrap();
    assert!(claim.unsigned);
    for line in [
        "bascule_node_reports_total{outcome=\"unsigned\"} 1",
        "bascule_node_reports_total{outcome=\"pending\"} 1",
        "bascule_node_reports_total{outcome=\"approved\"} 1",
        "bascule_node_reports_total{outcome=\"claim\"} 1",
        "bascule_node_identities{state=\"approved\"} 1",
        "bascule_node_identities{state=\"pending\"} 0",
        "bascule_nodes_key_used_twice 0",
    ] {
        assert!(metric(&running, line).await, "{line}");
    }

    let dir = running.dir;
    running.server.stop().await;
    let running = crate::support::start_in(dir, server::net::Limits::default()).await.unwrap();
    assert_eq!(view(&running, NODE).await, seen);
    assert!(metric(&running, "bascule_node_identities{state=\"approved\"} 1").await);
}

#[tokio::test]
async fn forged_replayed_and_misdirected_reports_are_refused_and_shown() {
    let running = start().await;
    let mut machine = Machine::new(NODE, 1);
    let first = machine.report("one");
    assert_eq!(running.report(NODE, &first).await.status, 204);
    decide(&running, NODE, "approve", "").await;
    let second = machine.report("two");
    assert_eq!(running.report(NODE, &second).await.status, 204);

    for again in [&first, &second] {
        let got = running.report(NODE, again).await;
        assert_eq!(got.status, 409, "{}", got.text());
        assert!(error(&got).contains("replayed: number"), "{}", got.text());
    }
    let mut changed = second.clone();
    *changed.last_mut().unwrap() ^= 1;
    let got = running.report(NODE, &changed).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).contains("bad-signature"), "{}", got.text());

    // Signed by this node, sent as another one's.
    let got = running.report(OTHER, &machine.report("three")).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).contains("wrong-node: report: expected node 52-54-00-00-00-99"), "{}", got.text());
    assert_eq!(running.call("GET", &format!("/v1/nodes/{OTHER}"), b"").await.status, 404, "nothing is kept");

    // Another machine that says it is this node.
    let mut liar = Machine::new(NODE, 2);
    let got = running.report(NODE, &liar.report("lie")).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).contains("other-key: a new key; the approved one is"), "{}", got.text());

    let seen = view(&running, NODE).await;
    assert_eq!(message(&seen), "two");
    let kinds: Vec<(&str, u64)> =
        seen.enrolment.alerts.iter().map(|alert| (alert.kind.as_str(), alert.count)).collect();
    assert_eq!(kinds, [("other-key", 1), ("bad-signature", 1), ("replayed", 2)]);
    assert!(seen.events.iter().any(|event| event.event == "replayed"));
    assert_eq!((seen.enrolment.pending.len(), seen.enrolment.used_twice), (1, None));
    for kind in ["other-key", "bad-signature", "wrong-node"] {
        assert!(
            metric(&running, &format!("bascule_node_reports_total{{outcome=\"{kind}\"}} 1")).await,
            "{kind}"
        );
    }
    assert!(metric(&running, "bascule_node_reports_total{outcome=\"replayed\"} 2").await);
    for (body, status) in [
        (b"bascule-report-1 x y\n{}".to_vec(), 400),
        (b"bascule-\n{}".to_vec(), 400),
        (machine.key.seal(Kind::Enrol, b"{}"), 400),
        (machine.key.seal(Kind::Report, b"{}"), 400),
        (machine.key.seal(Kind::Report, b"\xff"), 400),
    ] {
        assert_eq!(running.report(NODE, &body).await.status, status, "{}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn a_stolen_key_is_noticed_and_can_be_revoked() {
    let running = start().await;
    let mut machine = Machine::new(NODE, 1);
    for text in ["one", "two", "three"] {
        assert_eq!(running.report(NODE, &machine.report(text)).await.status, 204);
    }
    decide(&running, NODE, "approve", "").await;
    // The thief goes on from an older copy: the same number, other content.
    let mut thief = Machine { boot: "ff".parse().unwrap(), number: 1, ..Machine::new(NODE, 1) };
    let got = running.report(NODE, &thief.report("I am it")).await;
    assert_eq!(got.status, 409);
    assert!(error(&got).contains("key-used-twice: number 2 was used for another message"), "{}", got.text());
    let seen = view(&running, NODE).await;
    assert_eq!(message(&seen), "three");
    assert!(seen.enrolment.used_twice.is_some());
    assert!(metric(&running, "bascule_nodes_key_used_twice 1").await);

    // Ahead of the node: accepted once, and seen when the node itself speaks again.
    thief.number = 10;
    assert_eq!(running.report(NODE, &thief.report("ahead")).await.status, 204);
    machine.number = 20;
    let got = running.report(NODE, &machine.report("still here")).await;
    assert_eq!(got.status, 409);
    assert!(error(&got).contains("two machines take turns"), "{}", got.text());

    let revoked = decide(&running, NODE, "revoke", r#"{"reason":"stolen"}"#).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let got = running.report(NODE, &thief.report("me again")).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).contains("revoked-key") && error(&got).contains("stolen"), "{}", got.text());
    assert_eq!(view(&running, NODE).await.enrolment.state, EnrolmentState::Revoked);
    let got = decide(&running, NODE, "approve", "").await;
    assert_eq!(got.status, 422, "{}", got.text());

    // Neither forgetting the node nor another name makes the key good again.
    assert_eq!(decide(&running, NODE, "forget", "").await.status, 200);
    assert_eq!(running.report(NODE, &thief.report("x")).await.status, 403);
    let mut renamed = Machine { boot: "fe".parse().unwrap(), ..Machine::new(OTHER, 1) };
    assert_eq!(running.report(OTHER, &renamed.report("x")).await.status, 403);

    let mut fresh = Machine::new(NODE, 3);
    assert_eq!(running.report(NODE, &fresh.report("new key")).await.status, 204);
    assert_eq!(decide(&running, NODE, "approve", "{}").await.status, 200);
    assert_eq!(view(&running, NODE).await.enrolment.state, EnrolmentState::Approved);
}

#[tokio::test]
async fn one_key_under_two_names_marks_both() {
    let running = start().await;
    let mut machine = Machine::new(NODE, 1);
    assert_eq!(running.report(NODE, &machine.report("one")).await.status, 204);
    decide(&running, NODE, "approve", "").await;
    let mut copy = Machine::new(OTHER, 1);
    let got = running.report(OTHER, &copy.report("copy")).await;
    assert_eq!(got.status, 409);
    assert!(error(&got).contains("key-used-twice") && error(&got).contains(NODE), "{}", got.text());
    for node in [NODE, OTHER] {
        let seen = view(&running, node).await;
        assert!(seen.enrolment.used_twice.is_some(), "{node}");
        assert_eq!(seen.enrolment.alerts[0].kind, "key-used-twice");
    }
    assert!(metric(&running, "bascule_nodes_key_used_twice 2").await);
    let refused = decide(&running, OTHER, "approve", "").await;
    assert_eq!(refused.status, 422);
    assert!(error(&refused).contains(&format!("imgtool node forget {NODE}")), "{}", refused.text());
    // The disk has moved: the old name goes, the new one may have the key.
    assert_eq!(decide(&running, NODE, "forget", "").await.status, 200);
    assert_eq!(decide(&running, OTHER, "approve", "").await.status, 200);
    assert_eq!(running.report(OTHER, &copy.report("moved")).await.status, 204);
    assert_eq!(view(&running, OTHER).await.enrolment.used_twice, None);
}

async fn new_token(running: &Running, token: &JoinToken, ttl_s: u64, uses: u32) -> Response {
    let (id, verifier, root, group) = (token.id, token.verifier(), token.root, token.group.clone());
    let body = serde_json::to_vec(&NewToken { id, verifier, root, group, ttl_s, uses }).unwrap();
    running.call("POST", "/v1/tokens/new", &body).await
}

/// A server with something published, and the fingerprint of its first root.
async fn published() -> (Running, Sha256) {
    let running = start().await;
    let (publication, _) = one_image();
    running.publish(&publication).await;
    let root = Sha256::of(&publication.metadata["1.root.json"]);
    (running, root)
}

#[tokio::test]
async fn a_join_token_enrols_into_its_group() {
    let (running, root) = published().await;
    let token = JoinToken::new([1; 6], [2; 16], root, Some("rack".parse().unwrap()));
    let made = new_token(&running, &token, 3600, 1).await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert!(!made.text().contains(&"02".repeat(16)));

    let mut machine = Machine::new(OTHER, 7);
    let body = machine.enrol(root, Some(&token));
    let got = enrol(&running, OTHER, &body).await;
    assert_eq!((got.status, got.json()["state"].as_str()), (200, Some("approved")), "{}", got.text());
    let seen = view(&running, OTHER).await;
    assert_eq!(seen.enrolment.reason.as_deref(), Some("approved by join token 010101010101"));
    assert_eq!((seen.group, seen.pinned), (Some("rack".parse().unwrap()), Some("ha@1".parse().unwrap())));
    // Its script is that of the group, although no assignment names it.
    let script = running.get(&format!("/boot.ipxe?mac={OTHER}")).await.text();
    assert!(script.contains("group rack: ha@1"), "{script}");
    assert_eq!(running.report(OTHER, &machine.report("here")).await.status, 204);

    // The same body again; the same key again; another machine.
    assert_eq!(enrol(&running, OTHER, &body).await.status, 409);
    let again = enrol(&running, OTHER, &machine.enrol(root, Some(&token))).await;
    assert_eq!(again.json()["state"], "approved");
    let mut late = Machine::new("52-54-00-00-00-98", 8);
    let got = enrol(&running, late.node, &late.enrol(root, Some(&token))).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).ends_with("join-refused: join token 010101010101 was used up"), "{}", got.text());
    assert_eq!(view(&running, late.node).await.enrolment.state, EnrolmentState::Pending);

    let listed = running.call("GET", "/v1/tokens", b"").await;
    let listed: Vec<TokenView> = serde_json::from_value(listed.json()).unwrap();
    assert_eq!((listed.len(), listed[0].used, listed[0].nodes[0].as_str()), (1, 1, OTHER));
    let metrics = running.get("/metrics").await.text();
    for line in [
        "bascule_node_enrolments_total{outcome=\"approved\"} 2",
        "bascule_node_enrolments_total{outcome=\"replayed\"} 1",
        "bascule_node_enrolments_total{outcome=\"join-refused\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_new_node_boots_into_the_group_of_its_token() {
    let (running, root) = published().await;
    let token = JoinToken::new([1; 6], [2; 16], root, Some("rack".parse().unwrap()));
    new_token(&running, &token, 3600, 1).await;
    let text = token.to_text();
    let first = running.get(&format!("/boot.ipxe?join={text}")).await.text();
    assert!(first.contains(&format!("&ip=${{ip}}&join={text}")), "{first}");
    let without = running.get(&format!("/boot.ipxe?mac={OTHER}")).await.text();
    assert!(without.contains("is in no group") && !without.contains("bascule.join"), "{without}");
    let script = running.get(&format!("/boot.ipxe?mac={OTHER}&join={text}")).await.text();
    assert!(
        script.contains("group rack: ha@1") && script.contains(&format!(" bascule.join={text} ")),
        "{script}"
    );
    // Cut, guessed, of another group: the node boots as it would without.
    let guessed = JoinToken::new([1; 6], [3; 16], root, Some("rack".parse().unwrap())).to_text();
    let moved = JoinToken::new([1; 6], [2; 16], root, Some("rac".parse().unwrap())).to_text();
    for bad in [&text[..40], &guessed, &moved, "x"] {
        let got = running.get(&format!("/boot.ipxe?mac={OTHER}&join={bad}")).await.text();
        assert!(got.contains("is in no group") && !got.contains("bascule.join"), "{bad} {got}");
    }
    let mut machine = Machine::new(OTHER, 1);
    enrol(&running, OTHER, &machine.enrol(root, Some(&token))).await;
    let after = running.get(&format!("/boot.ipxe?mac={OTHER}&join={text}")).await.text();
    assert!(after.contains("group rack: ha@1") && !after.contains("bascule.join"), "used up: {after}");
    let seen = view(&running, OTHER).await;
    assert!(!format!("{seen:?}").contains(&"02".repeat(16)), "the secret is kept nowhere");
}

#[tokio::test]
async fn tokens_that_do_not_fit_are_refused() {
    let (running, root) = published().await;
    let token = JoinToken::new([1; 6], [2; 16], root, None);
    new_token(&running, &token, 3600, 5).await;
    let elsewhere = JoinToken::new([3; 6], [2; 16], Sha256::of(b"another"), None);
    let refused = new_token(&running, &elsewhere, 3600, 1).await;
    assert_eq!(refused.status, 422);
    assert!(error(&refused).contains("token: it is for repository"), "{}", refused.text());
    for (ttl, uses) in [(0, 1), (3600, 0), (40 * 86_400, 1), (3600, 5000)] {
        assert_eq!(new_token(&running, &token, ttl, uses).await.status, 422);
    }

    let mut machine = Machine::new(NODE, 1);
    let wrong = "join-refused: join token: there is no such token, or its secret is another one";
    for bad in [JoinToken::new([9; 6], [2; 16], root, None), JoinToken::new([1; 6], [9; 16], root, None)] {
        let got = enrol(&running, NODE, &machine.enrol(root, Some(&bad))).await;
        assert_eq!((got.status, error(&got)), (403, format!("forbidden: {wrong}")));
    }
    let grouped = JoinToken::new([1; 6], [2; 16], root, Some("rack".parse().unwrap()));
    let got = enrol(&running, NODE, &machine.enrol(root, Some(&grouped))).await;
    assert!(error(&got).contains("the group is not what the token was made for"), "{}", got.text());
    let got = enrol(&running, NODE, &machine.enrol(Sha256::of(b"another"), Some(&token))).await;
    assert_eq!(got.status, 403);
    assert!(error(&got).contains("the node trusts repository"), "{}", got.text());
    // A proof that another node made.
    let mut other = Machine::new(OTHER, 2);
    let (public, node) = (machine.key.public(), NODE.parse().unwrap());
    other.number += 1;
    let stolen = Enrol {
        node: OTHER.parse().unwrap(),
        number: 1,
        boot: other.boot.clone(),
        root,
        join: Some(Joining { id: token.id, group: None, proof: token.proof(&node, &public) }),
        reason: String::new(),
    };
    let body = other.key.seal(Kind::Enrol, &serde_json::to_vec(&stolen).unwrap());
    assert_eq!(enrol(&running, OTHER, &body).await.status, 403);

    assert_eq!(running.call("POST", "/v1/tokens/010101010101/revoke", b"").await.status, 200);
    let got = enrol(&running, NODE, &machine.enrol(root, Some(&token))).await;
    assert!(error(&got).ends_with("join token 010101010101 was revoked"), "{}", got.text());
    assert_eq!(running.call("POST", "/v1/tokens/0a0a0a0a0a0a/revoke", b"").await.status, 404);
    assert_eq!(view(&running, NODE).await.enrolment.state, EnrolmentState::Pending);
    let unsigned = enrol(&running, NODE, b"{}").await;
    assert_eq!(unsigned.status, 400);
}

#[tokio::test]
async fn a_wiped_node_waits_even_with_a_token() {
    let (running, root) = published().await;
    let token = JoinToken::new([1; 6], [2; 16], root, None);
    new_token(&running, &token, 3600, 9).await;
    let mut machine = Machine::new(NODE, 1);
    enrol(&running, NODE, &machine.enrol(root, Some(&token))).await;
    let mut wiped = Machine::new(NODE, 2);
    let got = enrol(&running, NODE, &wiped.enrol(root, Some(&token))).await;
    assert_eq!((got.status, got.json()["state"].as_str()), (200, Some("pending")));
    let seen = view(&running, NODE).await;
    assert_eq!(seen.enrolment.state, EnrolmentState::Pending);
    let reason =
        format!("a new key; the approved one is {}: first boot with this disk", machine.key.public().short());
    assert_eq!(seen.enrolment.reason, Some(reason));
    let listed = running.call("GET", "/v1/tokens", b"").await.json();
    assert_eq!(listed[0]["used"], 1, "no use is spent");
    let key = wiped.key.public().to_string();
    for (body, status) in [
        (r#"{"key":"abc"}"#.to_owned(), 422),
        (r#"{"key":"0000000000"}"#.to_owned(), 422),
        (r#"{"keys":"0000000000"}"#.to_owned(), 400),
        (format!(r#"{{"key":"{}"}}"#, &key[..8]), 200),
    ] {
        let got = decide(&running, NODE, "approve", &body).await;
        assert_eq!(got.status, status, "{body} {}", got.text());
    }
    assert_eq!(running.report(NODE, &wiped.report("back")).await.status, 204);
    assert_eq!(running.report(NODE, &machine.report("old")).await.status, 403);
}

#[tokio::test]
async fn whoever_tries_tokens_has_to_wait() {
    let (running, root) = published().await;
    let mut machine = Machine::new(NODE, 1);
    let mut refused = 0;
    let waiting = loop {
        let guess = JoinToken::new([1; 6], [refused; 16], root, None);
        let got = enrol(&running, NODE, &machine.enrol(root, Some(&guess))).await;
        if got.status != 403 {
            break got;
        }
        refused += 1;
        assert!(refused < 100, "nobody stops this");
    };
    assert_eq!(waiting.status, 429, "{}", waiting.text());
    assert!((16..30).contains(&refused), "{refused}");
    assert!(waiting.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert!(metric(&running, "bascule_node_enrolments_total{outcome=\"limited\"} 1").await);
    // Reports and delivery go on.
    assert_eq!(running.report(NODE, &machine.report("alive")).await.status, 204);
    assert_eq!(running.get("/metadata/timestamp.json").await.status, 200);
}

#[tokio::test]
async fn decisions_about_nobody_are_refused() {
    let running = start().await;
    for verb in ["approve", "revoke", "forget"] {
        let body = if verb == "revoke" { r#"{"reason":""}"# } else { "" };
        let got = decide(&running, NODE, verb, body).await;
        assert_eq!((got.status, error(&got)), (404, format!("not found: node {NODE} was never seen")));
    }
    running.report(NODE, &serde_json::to_vec(&report(NODE, "plain")).unwrap()).await;
    let got = decide(&running, NODE, "approve", "").await;
    assert_eq!((got.status, error(&got)), (422, format!("refused: node {NODE} has shown no such key")));
    let long = format!(r#"{{"reason":"{}"}}"#, "x".repeat(301));
    assert_eq!(decide(&running, NODE, "revoke", &long).await.status, 422);
}
