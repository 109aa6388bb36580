//! The node's key against a server that answers as it is told: what is sent, and what is made of the answers.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, dead_code)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleet_protocol::identity::{Enrol, Kind, NodePublicKey, SignedReport, is_sealed, open};
use fleet_protocol::join::JoinToken;
use fleet_protocol::node::EnrolmentState;
use fleet_protocol::{Event, Health, Report};
use image_format::Sha256;
use image_format::pin::Assignments;
use image_format::record::{Enrolled, Record};
use initramfs_agent::fleet::report::Running;
use initramfs_agent::fleet::wish::ask;
use initramfs_agent::fleet::{Reporter, Server};
use initramfs_agent::http::BaseUrl;
use initramfs_agent::identity::{Enroller, Identity, describe, status, token_for};

use common::{HttpServer, Repo, node, now};

/// Path and body of a request.
type Seen = (String, Vec<u8>);

/// An admin listener that gives these answers, one after the other, and keeps what came.
struct Stub {
    base: BaseUrl,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    fn answering(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut length) = (String::new(), 0);
                reader.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim().split_once(": ") else { break };
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.parse().unwrap();
                    }
                }
                let mut bytes = vec![0; length];
                reader.read_exact(&mut bytes).unwrap();
                kept.lock().unwrap().push((first.split(' ').nth(1).unwrap().to_owned(), bytes));
                let head = format!(
                    "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
            }
        });
        Self { base, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(state: &str) -> (u16, String) {
    (200, format!(r#"{{"state":"{state}","message":"because"}}"#))
}

fn root() -> Sha256 {
    Sha256::of(b"the root")
}

fn token(root: Sha256) -> JoinToken {
    JoinToken::new([1; 6], [2; 16], root, Some("rack".parse().unwrap()))
}

fn enrolment(body: &[u8]) -> (NodePublicKey, Enrol) {
    let opened = open(Kind::Enrol, body).unwrap();
    (opened.key, serde_json::from_slice(opened.payload).unwrap())
}

#[test]
fn reports_are_signed_and_numbered_as_sent() {
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(vec![(204, String::new()); 4]);
    let mut reporter = Reporter::new(Some(stub.base.clone()), node());
    let (running, record) = (Running::default(), Record::default());
    let send =
        |reporter: &mut Reporter, text| reporter.send(Event::Alive, Health::Healthy, text, &running, &record);
    assert!(send(&mut reporter, "before"));
    let identity = Identity::open(state.path()).unwrap();
    let key = identity.public();
    reporter.sign_with(identity);
    assert!(send(&mut reporter, "one") && send(&mut reporter, "two"));
    drop(reporter);
    // The next process.
    let mut reporter = Reporter::new(Some(stub.base.clone()), node());
    reporter.sign_with(Identity::open(state.path()).unwrap());
    assert!(send(&mut reporter, "three"));

    let seen = stub.seen();
    assert!(seen.iter().all(|(path, _)| path == "/v1/nodes/52-54-00-12-34-56/report"));
    assert!(!is_sealed(&seen[0].1));
    assert_eq!(serde_json::from_slice::<Report>(&seen[0].1).unwrap().message, "before");
    let signed: Vec<SignedReport> = seen[1..]
        .iter()
        .map(|(_, body)| {
            let opened = open(Kind::Report, body).unwrap();
            assert_eq!(opened.key, key);
            serde_json::from_slice(opened.payload).unwrap()
        })
        .collect();
    let said: Vec<(u64, &str)> =
        signed.iter().map(|signed| (signed.number, signed.report.message.as_str())).collect();
    assert_eq!(said, [(1, "one"), (2, "two"), (65, "three")]);
    assert_eq!(signed[0].boot, signed[2].boot, "one boot of this machine");
}

#[test]
fn a_token_is_proved_not_sent_and_its_group_is_remembered_once() {
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(vec![answer("approved")]);
    let (token, node) = (token(root()), node());
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: Some(&token) };
    let mut record = Record::default();
    let enrolled = enroller.ask(&mut identity, &record).unwrap();
    let group = Some("rack".parse().unwrap());
    assert_eq!(enrolled, Enrolled { key: identity.public().to_string(), group });
    record.enrolled = Some(enrolled);
    assert_eq!(enroller.ask(&mut identity, &record), None, "what is approved is not asked again");

    let seen = stub.seen();
    assert_eq!((seen.len(), seen[0].0.as_str()), (1, "/v1/nodes/52-54-00-12-34-56/enrol"));
    assert!(!String::from_utf8_lossy(&seen[0].1).contains(&"02".repeat(16)), "the secret stays here");
    let (key, enrol) = enrolment(&seen[0].1);
    assert_eq!((key, enrol.root), (identity.public(), root()));
    let join = enrol.join.unwrap();
    assert!(token.verifier().accepts(&join.proof, &node, &key));
    assert!(status(state.path()).unwrap().is_approved(&key));
}

#[test]
fn a_token_for_another_repository_is_not_used() {
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(vec![answer("pending")]);
    let (token, node) = (token(Sha256::of(b"their root")), node());
    assert_eq!(token_for(Some(&token), &root()), None);
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: Some(&token) };
    assert_eq!(enroller.ask(&mut identity, &Record::default()), None);
    assert_eq!(enrolment(&stub.seen()[0].1).1.join, None);
    assert_eq!(status(state.path()).unwrap().answer.state, EnrolmentState::Pending);
}

#[test]
fn without_a_token_it_waits_and_is_approved_later() {
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(vec![answer("pending"), answer("approved")]);
    let node = node();
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: None };
    assert_eq!(enroller.ask(&mut identity, &Record::default()), None);
    let enrolled = enroller.ask(&mut identity, &Record::default()).unwrap();
    assert_eq!(enrolled, Enrolled { key: identity.public().to_string(), group: None });
    let numbers: Vec<u64> = stub.seen().iter().map(|(_, body)| enrolment(body).1.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_group_once_fixed_stays() {
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(vec![answer("approved")]);
    let (token, node) = (token(root()), node());
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: Some(&token) };
    let before = Enrolled { key: "ab".repeat(32), group: Some("old".parse().unwrap()) };
    let mut record = Record::default();
    record.enrolled = Some(before.clone());
    let enrolled = enroller.ask(&mut identity, &record).unwrap();
    assert_eq!(enrolled, Enrolled { key: identity.public().to_string(), group: before.group });
    let reason = enrolment(&stub.seen()[0].1).1.reason;
    assert_eq!(reason, "the state partition had none; this disk had key abababababababab before");
}

#[test]
fn a_refused_report_takes_the_approval_back_until_the_server_is_asked_again() {
    let state = tempfile::tempdir().unwrap();
    let refused = (403, r#"{"error":"forbidden: revoked-key: stolen"}"#.to_owned());
    let stub = Stub::answering(vec![answer("approved"), refused.clone(), refused]);
    let node = node();
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: None };
    assert!(enroller.ask(&mut identity, &Record::default()).is_some());
    let mut reporter = Reporter::new(Some(stub.base.clone()), node.clone());
    reporter.sign_with(identity);
    let (running, record) = (Running::default(), Record::default());
    assert!(!reporter.send(Event::Alive, Health::Healthy, "fine", &running, &record));
    assert!(reporter.is_answered());
    drop(reporter);
    assert_eq!(status(state.path()), None);
    let mut identity = Identity::open(state.path()).unwrap();
    assert_eq!(enroller.ask(&mut identity, &record), None);
    let line = describe(state.path()).unwrap();
    assert!(line.ends_with("   refused: forbidden: revoked-key: stolen"), "{line}");
}

#[test]
fn whatever_the_server_answers_the_boot_goes_on() {
    let refused = (403, r#"{"error":"forbidden: join-refused"}"#.to_owned());
    let answers = vec![
        refused.clone(),
        (404, "not found".to_owned()),
        (429, "slow down".to_owned()),
        (500, String::new()),
        (200, "{".to_owned()),
        (200, r#"{"state":"approved"}"#.to_owned()),
        (200, "x".repeat(1 << 20)),
        (302, "http://elsewhere".to_owned()),
        answer("something-new"),
    ];
    let count = answers.len();
    let state = tempfile::tempdir().unwrap();
    let stub = Stub::answering(answers);
    let (token, node) = (token(root()), node());
    let mut identity = Identity::open(state.path()).unwrap();
    let enroller = Enroller { admin: &stub.base, node: &node, root: root(), token: Some(&token) };
    for case in 0..count {
        assert_eq!(enroller.ask(&mut identity, &Record::default()), None, "answer {case}");
        assert!(!status(state.path()).is_some_and(|status| status.is_approved(&identity.public())));
    }
    assert_eq!(stub.seen().len(), count);
    // Nobody listens.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let admin = format!("http://{gone}").parse().unwrap();
    let start = Instant::now();
    assert_eq!(Enroller { admin: &admin, ..enroller }.ask(&mut identity, &Record::default()), None);
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// What assignments say of the node by name, then its enrolment, then the default.
#[test]
fn the_group_of_the_enrolment_counts_where_assignments_do_not_name_the_node() {
    let group = |name: &str| name.parse::<image_format::Group>().unwrap();
    let wished = |assignments: Option<Assignments>, enrolled: Option<&str>| {
        let mut repo = Repo::new();
        for (number, name) in (1..).zip(["named", "enrolled", "default"]) {
            let manifest = common::manifest(&format!("{name}@1"), number);
            let digest = repo.release(&manifest);
            repo.pin(name, &format!("{name}@1"), digest);
        }
        if let Some(assignments) = &assignments {
            repo.assign(assignments);
        }
        let server = HttpServer::start(repo.publish());
        let mut client = Server::new(server.base(), Duration::from_secs(5));
        let enrolled = enrolled.map(group);
        let asked = ask(&mut client, &repo.root, &Record::default(), &node(), enrolled.as_ref(), now());
        asked.wish.map(|wish| wish.group.to_string()).map_err(|error| error.to_string())
    };
    let mut assignments = Assignments::empty();
    assignments.default = Some(group("default"));
    let with_default = assignments.clone();
    assignments.nodes.insert(node(), group("named"));
    assert_eq!(wished(Some(assignments), Some("enrolled")), Ok("named".to_owned()));
    assert_eq!(wished(Some(with_default.clone()), Some("enrolled")), Ok("enrolled".to_owned()));
    assert_eq!(wished(Some(with_default), None), Ok("default".to_owned()));
    assert_eq!(wished(None, Some("enrolled")), Ok("enrolled".to_owned()));
    assert!(wished(None, None).unwrap_err().contains("is in no group"));
}
