//! The built program: start, log, signals, exit codes, and a disk that takes no more.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::client::{Response, request};
use server::online::KeyDir;
use signing::repo::Lifetimes;

use crate::support::publication::{Publication, pack};
use crate::support::soon;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_imgserver");

pub struct Program {
    pub child: Option<Child>,
    pub delivery: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    token: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Program {
    /// Starts `command` with the arguments of a server on `data`, and waits until it listens.
    pub async fn start(mut command: Command, data: &Path, more: &[&str]) -> Self {
        command.arg("serve").arg("--data").arg(data).args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]);
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).env_remove("RUST_LOG");
        let child = command.spawn().unwrap();
        let listening = async {
            loop {
                if let Ok(bytes) = std::fs::read(data.join("listen.json")) {
                    return serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let listen = soon("the addresses", listening).await;
        let address = |name: &str| listen[name].as_str().unwrap().parse().unwrap();
        assert_eq!(listen["pid"].as_u64(), Some(child.id().into()));
        let token = run(&["token", "show", "--data"], data);
        assert!(token.status.success());
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Self { child: Some(child), delivery: address("delivery"), admin: address("admin"), token }
    }

    pub async fn put(&self, body: &[u8]) -> Response {
        let headers = format!("Authorization: Bearer {}\r\nContent-Length: {}\r\n", self.token, body.len());
        request(self.admin, "PUT", "/v1/objects", &headers, body).await
    }

    async fn commit(&self, publication: &Publication) -> Response {
        let body = publication.commit();
        let headers = format!("Authorization: Bearer {}\r\nContent-Length: {}\r\n", self.token, body.len());
        request(self.admin, "POST", "/v1/commit", &headers, &body).await
    }

    /// SIGTERM, and everything that it logged.
    pub async fn stop(mut self) -> Output {
        let child = self.child.take().unwrap();
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
        soon("the end", ended).await.unwrap()
    }
}

fn run(args: &[&str], data: &Path) -> Output {
    Command::new(PROGRAM).args(args).arg(data).output().unwrap()
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new/data");
    let program = Program::start(Command::new(PROGRAM), &data, &[]).await;
    let line = format!("listening delivery={} admin={}\n", program.delivery, program.admin);
    let got = request(program.delivery, "GET", "/objects/x", "", b"").await;
    assert_eq!(got.status, 404);
    let second = run(&["serve", "--data"], &data);
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(
        text.ends_with(&format!("imgserver: data directory {}: another imgserver uses it\n", data.display())),
        "{text}"
    );
    let ended = program.stop().await;
    assert!(ended.status.success(), "{:?}", ended.status);
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(log.contains(&line), "{log}");
    let refused = log.lines().find(|line| line.contains("refused")).unwrap();
    for word in ["route=none", "status=404", "peer=127.0.0.1", "path=/objects/x", "ms=", "reason=not found: "]
    {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    assert!(!data.join("listen.json").exists());
}

#[tokio::test]
async fn a_json_log_has_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(Command::new(PROGRAM), &dir.path().join("d"), &["--log", "json"]).await;
    request(program.delivery, "GET", "/healthz", "", b"").await;
    let log = String::from_utf8(program.stop().await.stderr).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let request = lines.iter().find(|line| line["message"] == "request").unwrap();
    assert_eq!((request["route"].as_str(), request["status"].as_u64()), (Some("healthz"), Some(200)));
}

#[tokio::test]
async fn a_full_disk_refuses_the_pack_whole_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Files above 4 MiB cannot be written: the same error path as a full disk, without one.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"", PROGRAM]);
    let program = Program::start(limited, &data, &[]).await;
    let (small, large) = (b"small".as_slice(), vec![1; 8 << 20]);
    let got = program.put(&pack([small, &large])).await;
    assert_eq!(got.status, 507, "{}", got.text());
    assert!(got.json()["error"].as_str().unwrap().ends_with("nothing was changed"), "{}", got.text());
    assert_eq!(std::fs::read_dir(data.join("objects")).unwrap().count(), 0);
    assert_eq!(program.put(&pack([small])).await.json(), serde_json::json!({ "stored": 1, "present": 0 }));
    assert!(program.stop().await.status.success());
}

/// Keys as `imgserver keys new` makes them, and what it prints.
fn keys(action: &[&str], data: &Path) -> serde_json::Value {
    let output = run(&[&["keys"], action, &["--json", "--data"]].concat(), data);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn keys_of_its_own_are_made_shown_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let none = run(&["keys", "show", "--data"], &data);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stderr).unwrap().contains("imgserver keys new"));
    let made = keys(&["new"], &data);
    let roles: Vec<&str> =
        made["keys"].as_array().unwrap().iter().map(|key| key["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["snapshot", "timestamp"]);
    assert_eq!(keys(&["show"], &data), made);
    let again = run(&["keys", "new", "--data"], &data);
    assert_eq!(again.status.code(), Some(1), "a key is never replaced");
    assert_eq!(keys(&["show"], &data), made);
    assert_eq!(keys(&["new", "--add"], &data)["keys"].as_array().unwrap().len(), 4);

    // A root that lists others: said in the log at once, at level error.
    let (publication, _) = crate::support::publication::one_image();
    publication.commit_to(&data);
    let program = Program::start(Command::new(PROGRAM), &data, &["--log", "json"]).await;
    let not_ready = async {
        while request(program.delivery, "GET", "/readyz", "", b"").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the first look", not_ready).await;
    let log = String::from_utf8(program.stop().await.stderr).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!(error["message"], "snapshot and timestamp are not signed");
    let reason = error["reason"].as_str().unwrap();
    assert!(reason.starts_with("the root (version 1) does not list this server's keys"), "{reason}");
    assert!(!log.contains("PRIVATE"), "{log}");
}

#[tokio::test]
async fn a_full_disk_refuses_a_change_that_would_be_completed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    keys(&["new"], &data);
    let online = KeyDir::of(&data).load().unwrap().unwrap();
    let mut publication = Publication::online(server::app::now(), Lifetimes::default(), &online);
    publication.image("ha@1", 1);
    publication.sign();
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]);
    let program = Program::start(deaf, &data, &[]).await;
    assert_eq!(program.put(&publication.pack()).await.status, 200);
    assert_eq!(program.commit(&publication).await.status, 200);
    publication.pin("rack", "ha@1");
    publication.sign();
    // No file can grow: the same error path as a full disk, without one.
    let id = rustix::process::Pid::from_child(program.child.as_ref().unwrap());
    let limit = |current| {
        let limits = rustix::process::Rlimit { current, maximum: None };
        rustix::process::prlimit(Some(id), rustix::process::Resource::Fsize, limits).unwrap();
    };
    limit(Some(0));
    let got = program.commit(&publication).await;
    assert_eq!(got.status, 507, "{}", got.text());
    assert!(got.json()["error"].as_str().unwrap().ends_with("nothing was changed"), "{}", got.text());
    assert_eq!(request(program.delivery, "GET", "/metadata/1.snapshot.json", "", b"").await.status, 200);
    assert_eq!(request(program.delivery, "GET", "/metadata/2.snapshot.json", "", b"").await.status, 404);
    limit(None);
    let got = program.commit(&publication).await;
    assert_eq!((got.status, got.json()["pins"][0].as_str()), (200, Some("rack")), "{}", got.text());
    assert!(program.stop().await.status.success());
}

#[test]
fn bad_arguments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = |output: Output| (output.status.code(), String::from_utf8(output.stderr).unwrap());
    let (code, error) = text(run(&["serve", "--data"], &file));
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("imgserver: data directory {}: ", file.display())), "{error}");
    let (code, error) = text(run(&["token", "show", "--data"], dir.path()));
    assert_eq!(code, Some(1));
    assert!(error.starts_with("imgserver: token: cannot read "), "{error}");
    let (code, error) = text(run(&["serve", "--public-url", "https://x", "--data"], dir.path()));
    assert_eq!(code, Some(2));
    assert!(error.contains("expected http://HOST[:PORT]"), "{error}");
    for verb in [&["man"][..], &["completions", "bash"], &["--help"]] {
        let output = Command::new(PROGRAM).args(verb).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{verb:?}");
    }
}
