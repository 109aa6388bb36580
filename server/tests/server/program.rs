//! The built program: start, log, signals, exit codes, and a disk that takes no more.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::client::{Response, request};
use crate::support::publication::pack;
use crate::support::soon;

const PROGRAM: &str = env!("CARGO_BIN_EXE_imgserver");

struct Program {
    child: Option<Child>,
    delivery: std::net::SocketAddr,
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
    async fn start(mut command: Command, data: &Path, more: &[&str]) -> Self {
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

    async fn put(&self, body: &[u8]) -> Response {
        let headers = format!("Authorization: Bearer {}\r\nContent-Length: {}\r\n", self.token, body.len());
        request(self.admin, "PUT", "/v1/objects", &headers, body).await
    }

    /// SIGTERM, and everything that it logged.
    async fn stop(mut self) -> Output {
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
