//! `imgserver` killed at every system call that changes a file system, while an admin uploads and commits.
//!
//! `strace` counts the calls and sends SIGKILL at the N-th. It is no part of a plain `cargo test`; `cargo verify` runs it, or
//! `cargo test -p server --test syscalls -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

#[allow(dead_code, unreachable_pub, reason = "shared with the other tests of the server")]
#[path = "server/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use image_format::repository::{Repository, Upload, load_view};
use image_format::store::Store;

use crate::support::client::{Response, request};
use crate::support::publication::Publication;
use crate::support::soon;

const PROGRAM: &str = env!("CARGO_BIN_EXE_imgserver");

/// Calls by which a program changes a file system, or what others may rely on.
const CHANGES: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "sync_file_range",
    "fadvise64",
    "ftruncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "utimensat",
    "flock",
    "openat",
];

/// More calls of one kind than any of these runs makes.
const CALLS_MAX: u32 = 2000;

struct Program {
    child: Child,
    admin: SocketAddr,
    token: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a server, to be killed at the call number `at` of a kind; none if that came before it listened.
    async fn start(data: &Path, kill: Option<(&str, u32)>) -> Option<Self> {
        let _ = std::fs::remove_file(data.join("listen.json"));
        let mut command = match kill {
            None => Command::new(PROGRAM),
            Some((call, at)) => {
                // -D: the server is our child, and strace is not between us.
                let mut strace = Command::new("strace");
                strace.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
                strace.arg(format!("-etrace={call}")).arg(format!("-einject={call}:signal=KILL:when={at}"));
                strace.arg(PROGRAM);
                strace
            }
        };
        command.arg("serve").arg("--data").arg(data).args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).env_remove("RUST_LOG");
        let mut child = command.spawn().unwrap();
        let listening = async {
            loop {
                if child.try_wait().unwrap().is_some() {
                    return None;
                }
                let listen = std::fs::read(data.join("listen.json")).ok();
                if let Some(listen) =
                    listen.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
                {
                    return Some(listen["admin"].as_str().unwrap().parse().unwrap());
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        let admin = soon("a server that listens", listening).await?;
        let token = Command::new(PROGRAM).args(["token", "show", "--data"]).arg(data).output().unwrap();
        let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
        Some(Self { child, admin, token })
    }

    /// None: the connection broke.
    async fn send(&self, method: &'static str, path: &'static str, body: Vec<u8>) -> Option<Response> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Length: {}\r\n", self.token, body.len());
        let admin = self.admin;
        tokio::spawn(async move { request(admin, method, path, &headers, &body).await }).await.ok()
    }

    /// Uploads and commits; says whether the server acknowledged it all.
    async fn publish(&self, publication: &Publication) -> bool {
        let put = self.send("PUT", "/v1/objects", publication.pack()).await;
        if put.is_none_or(|response| response.status >= 300) {
            return false;
        }
        let commit = self.send("POST", "/v1/commit", publication.commit()).await;
        commit.is_some_and(|response| response.status < 300)
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What readers see, with every object that is visible whole.
fn seen(data: &Path) -> Upload {
    let store = Store::open(data).unwrap();
    for object in store.list() {
        store.verify_object(object.unwrap()).unwrap();
    }
    load_view(&store).unwrap();
    Repository::open(&store).export().unwrap().unwrap()
}

#[tokio::test]
#[ignore = "needs strace, and minutes"]
async fn killed_at_any_call_it_shows_old_or_new_and_what_it_acknowledged() {
    // Connections that break make `request` panic, which is how it is noticed.
    std::panic::set_hook(Box::new(|_| {}));
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let (origin, model) = (dir.path().join("origin"), dir.path().join("model"));
    let mut publication = Publication::new();
    publication.image("ha@1", 1);
    publication.sign();
    publication.commit_to(&origin);
    let old = seen(&origin);
    publication.image("ha@2", 2);
    publication.sign();
    copy_dir(&origin, &model);
    assert!(Program::start(&model, None).await.unwrap().publish(&publication).await);
    let new = seen(&model);
    assert!(old != new);

    let (mut kills, mut at_work) = (0, 0);
    let mut violations = Vec::new();
    for call in CHANGES {
        for at in 1..CALLS_MAX {
            let data = dir.path().join(format!("{call}-{at}"));
            copy_dir(&origin, &data);
            let program = Program::start(&data, Some((call, at))).await;
            let early = program.is_none();
            let mut acknowledged = false;
            if let Some(mut program) = program {
                acknowledged = program.publish(&publication).await;
                if acknowledged && program.child.try_wait().unwrap().is_none() {
                    break;
                }
            }
            kills += 1;
            at_work += u32::from(!early);
            let now = seen(&data);
            if now != new && (now != old || acknowledged) {
                violations.push(format!("{call} {at}: readers see something else"));
            }
            let again = Program::start(&data, None).await;
            let done = match &again {
                Some(again) => again.publish(&publication).await,
                None => false,
            };
            drop(again);
            if !done || seen(&data) != new {
                violations.push(format!("{call} {at}: the same again does not complete"));
            }
            std::fs::remove_dir_all(&data).unwrap();
        }
    }
    drop(std::panic::take_hook());
    println!(
        "upload and commit: server killed at each of {kills} system calls, {at_work} of them at work, {} violations",
        violations.len()
    );
    assert_eq!(violations, [""; 0]);
    assert!(at_work > 30, "{at_work}");
}
