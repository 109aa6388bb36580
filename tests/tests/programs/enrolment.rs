//! Nodes with keys, from the first report to the revocation. The node is `openssl` and a few lines of text: what it signs is what
//! `docs/enrolment.md` says, and nothing of ours helps it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bascule_tests::fleet::{Repo, Server};
use bascule_tests::http::{Answer, Request, get_json};
use serde_json::{Value, json};

use crate::common::{assert_says, pair, place, view};

const NODE: &str = "52-54-00-12-34-56";

/// A node: a key made by OpenSSL.
struct Machine {
    dir: PathBuf,
    public: String,
    number: u64,
    boot: &'static str,
}

impl Machine {
    fn new(dir: &Path, boot: &'static str) -> Self {
        fs::create_dir_all(dir).unwrap();
        let machine = Self { dir: dir.to_owned(), public: String::new(), number: 0, boot };
        machine.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "node.pem"]);
        machine.openssl(&["pkey", "-in", "node.pem", "-pubout", "-outform", "DER", "-out", "node.der"]);
        let der = fs::read(dir.join("node.der")).unwrap();
        Self { public: hex(&der[der.len() - 32..]), ..machine }
    }

    fn openssl(&self, args: &[&str]) {
        let output = Command::new("openssl").args(args).current_dir(&self.dir).output().unwrap();
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn seal(&self, word: &str, payload: &str) -> Vec<u8> {
        fs::write(self.dir.join("message"), format!("{word}\n{payload}")).unwrap();
        self.openssl(&[
            "pkeyutl",
            "-sign",
            "-inkey",
            "node.pem",
            "-rawin",
            "-in",
            "message",
            "-out",
            "signature",
        ]);
        let signature = hex(&fs::read(self.dir.join("signature")).unwrap());
        format!("{word} {} {signature}\n{payload}", self.public).into_bytes()
    }

    fn report(&mut self, message: &str) -> Vec<u8> {
        self.number += 1;
        let payload = json!({ "number": self.number, "boot": self.boot, "report": report(message) });
        self.seal("bascule-report-1", &payload.to_string())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(message: &str) -> Value {
    json!({
        "node": NODE, "group": null, "event": "confirmed", "message": message, "slot": null, "image": null, "manifest": null,
        "attempt": null, "health": "healthy", "slots": [], "quarantine": [], "fetched_bytes": null, "kernel": "6.1", "agent": "0.1",
    })
}

fn send(server: &Server, body: &[u8]) -> Answer {
    let target = format!("/v1/nodes/{NODE}/report");
    Request { method: "POST", target: &target, token: None, body }.send(server.admin).unwrap()
}

fn node(repo: &Repo<'_>) -> Value {
    repo.run(&["node", "show", NODE]).unwrap().0
}

#[test]
fn a_key_from_its_first_report_to_its_revocation() {
    let place = place("enrolment");
    let (repo, server) = pair(&place);
    let mut machine = Machine::new(&place.join("node"), "0a");
    assert_eq!(send(&server, &machine.report("waits")).status, 204);
    let seen = node(&repo);
    assert_eq!(
        (seen["enrolment"]["state"].as_str(), seen["report"]["message"].as_str()),
        (Some("pending"), Some("waits"))
    );
    assert_eq!(seen["enrolment"]["pending"][0]["key"], machine.public.as_str());
    assert_says(&repo.text(&["nodes"]).unwrap(), &["KEY", "pending"]);

    let approved = repo.run(&["node", "approve", NODE, "--key", &machine.public[..8]]).unwrap().0;
    assert_eq!(approved["enrolment"]["state"], "approved");
    let mine = machine.report("mine");
    assert_eq!(send(&server, &mine).status, 204);
    assert_eq!(send(&server, report("forged").to_string().as_bytes()).status, 202, "shown as a claim only");
    assert_eq!(send(&server, &mine).status, 409, "replayed");
    let mut stranger = Machine::new(&place.join("stranger"), "0b");
    assert_eq!(send(&server, &stranger.report("lie")).status, 403);
    // TUF signs the bare bytes: such a signature is none here.
    let bare = String::from_utf8(machine.report("bare")).unwrap().replace("\n", " \n");
    assert_eq!(send(&server, bare.as_bytes()).status, 400);
    let seen = node(&repo);
    assert_eq!(seen["report"]["message"], "mine");
    let kinds: Vec<&str> = seen["enrolment"]["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|alert| alert["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["other-key", "replayed"]);

    // The server dies: what was decided and which numbers were used is still known.
    let mut server = server;
    server.kill();
    server.restart().unwrap();
    assert_eq!(send(&server, &mine).status, 409);
    assert_eq!(send(&server, &machine.report("still here")).status, 204);

    let revoked = repo.run(&["node", "revoke", NODE, "--reason", "stolen"]).unwrap().0;
    assert_eq!(revoked["enrolment"]["state"], "revoked");
    repo.run(&["node", "forget", NODE]).unwrap();
    let refused = send(&server, &machine.report("again"));
    assert_eq!(refused.status, 403);
    assert_says(&refused.text(), &["revoked-key", "stolen"]);
    assert_says(&repo.refused(&["node", "approve", NODE]).unwrap(), &["was never seen"]);
    // Delivery never asked who anybody is.
    assert_eq!(Request::get("/healthz").send(server.delivery).unwrap().status, 200);
}

#[test]
fn a_join_token_reaches_the_node_while_it_can_be_used() {
    let place = place("join-token");
    let (repo, server) = pair(&place);
    repo.publish(bascule_tests::fixture::IMAGE).unwrap();
    repo.pin("web", bascule_tests::fixture::IMAGE).unwrap();
    let script = |join: &str| {
        let target = format!("/boot.ipxe?mac={NODE}&join={join}");
        Request::get(&target).send(server.delivery).unwrap().text()
    };
    assert_says(&script("none"), &["is in no group"]);
    let made = repo.run(&["token", "new", "--ttl", "10m", "--group", "web"]).unwrap().0;
    let token = made["token"].as_str().unwrap();
    assert_says(&script(token), &["group web", &format!(" bascule.join={token} ")]);
    let secret = token.split('.').nth(2).unwrap();
    assert!(!fs::read_to_string(server.log()).unwrap().contains(secret), "no log has the secret");
    assert!(
        !get_json(server.admin, "/v1/nodes", Some(&server.token().unwrap()))
            .unwrap()
            .to_string()
            .contains(secret)
    );

    repo.run(&["token", "revoke", made["id"].as_str().unwrap()]).unwrap();
    assert_eq!(repo.run(&["token", "list"]).unwrap().0[0]["state"], "revoked");
    assert_says(&script(token), &["is in no group"]);

    // The admin of another repository cannot make tokens for this server.
    let other = Repo::at(view(), &place.join("other"), repo.images()).unwrap();
    other.init(None).unwrap();
    other.set_remote(&server).unwrap();
    assert_says(&other.refused(&["token", "new"]).unwrap(), &["token: it is for repository"]);
}
