//! A tiny admin listener: a store directory behind HTTP, with faults on demand, and on demand with keys of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use fleet_protocol::publish::{OnlineKey, OnlineKeyList, RoleFile};
use fleet_protocol::{Commit, Missing, MissingAnswer, Names, Stored};
use image_format::ObjectId;
use image_format::repository::{
    Above, CommitError, Committed, OnlineFault, OnlineSigner, Renewal, Repository, Upload, load_view,
};
use image_format::store::Store;
use signing::online::{OnlineKeys, OnlineLifetimes, OnlineRole, Versions};
use signing::{TrustedFiles, UnixTime};

pub(crate) const TOKEN: &str = "right-token";

/// What the server does instead of its work, for one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Does its work after all: for faults of later requests.
    Pass,
    /// 503 with `Retry-After: 0`.
    Busy,
    /// Closes the connection without an answer, before or after the work.
    Hangup { after_work: bool },
    /// Answers with this status and text.
    Status(u16, &'static str),
}

/// A request: method, path, body.
type Seen = (String, String, usize);

/// The server; it ends with the process.
pub(crate) struct Fake {
    pub(crate) url: String,
    store: Arc<Store>,
    shared: Arc<Mutex<Shared>>,
}

/// Signs snapshots and timestamps.
struct Signer<'k>(&'k OnlineKeys);

const LIFETIMES: OnlineLifetimes = OnlineLifetimes { snapshot: 7 * 86_400, timestamp: 86_400 };

impl OnlineSigner for Signer<'_> {
    fn complete(
        &self,
        files: &TrustedFiles,
        above: Above,
        now: UnixTime,
    ) -> Result<TrustedFiles, OnlineFault> {
        let above = Versions { snapshot: above.snapshot, timestamp: above.timestamp };
        self.0
            .complete(files, above, LIFETIMES, now)
            .map_err(|error| OnlineFault::NotListed(error.to_string()))
    }

    fn renew_timestamp(&self, files: &TrustedFiles, now: UnixTime) -> Result<TrustedFiles, OnlineFault> {
        self.0
            .renew_timestamp(files, LIFETIMES, now)
            .map_err(|error| OnlineFault::NotListed(error.to_string()))
    }
}

#[derive(Default)]
struct Shared {
    /// Faults for the next requests to a path.
    faults: Vec<(&'static str, Fault)>,
    seen: Vec<Seen>,
    /// It signs snapshot and timestamp.
    keys: Option<Arc<OnlineKeys>>,
}

impl Fake {
    /// Serves the store at `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        let store = Arc::new(Store::create(dir).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (served, content) = (shared.clone(), store.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (store, shared) = (content.clone(), served.clone());
                thread::spawn(move || serve(&stream.unwrap(), &store, &shared));
            }
        });
        Self { url, store, shared }
    }

    /// From now on it signs snapshot and timestamp. Returns what `imgserver keys show --json` prints.
    pub(crate) fn sign(&self) -> String {
        let keys = OnlineKeys::generate().unwrap();
        let list = OnlineRole::ALL.into_iter().flat_map(|role| {
            keys.public(role).into_iter().map(move |key| OnlineKey {
                role: role.as_str().to_owned(),
                keyid: key.id().to_string(),
                public_pem: key.to_pem().unwrap(),
            })
        });
        let list = OnlineKeyList { keys: list.collect() };
        self.shared.lock().unwrap().keys = Some(Arc::new(keys));
        serde_json::to_string(&list).unwrap()
    }

    /// Signs anew, as the server does on time.
    pub(crate) fn resign(&self, renewal: Renewal) {
        let keys = self.shared.lock().unwrap().keys.clone().unwrap();
        Repository::open(&self.store).resign(renewal, &Signer(&keys), now()).unwrap();
    }

    /// What it does with the body of a commit: status and answer.
    pub(crate) fn commit(&self, body: &[u8]) -> (u16, String) {
        work(&self.store, &self.shared, "POST", "/v1/commit", body)
    }

    /// The next request to `path` meets this fault.
    pub(crate) fn fault(&self, path: &'static str, fault: Fault) {
        self.shared.lock().unwrap().faults.push((path, fault));
    }

    /// Forgets the requests so far and returns them.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.lock().unwrap().seen)
    }
}

/// One connection, request after request.
fn serve(stream: &TcpStream, store: &Store, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    while let Some((method, path, token, body)) = request(&mut reader) {
        let fault = {
            let mut shared = shared.lock().unwrap();
            shared.seen.push((method.clone(), path.clone(), body.len()));
            let position = shared.faults.iter().position(|(at, _)| *at == path);
            position.map(|position| shared.faults.remove(position).1)
        };
        let (status, extra, answer) = match fault {
            Some(Fault::Busy) => (503, "Retry-After: 0\r\n", b"busy".to_vec()),
            Some(Fault::Status(status, text)) => {
                (status, "", serde_json::json!({ "error": text }).to_string().into_bytes())
            }
            Some(Fault::Hangup { after_work }) => {
                if after_work {
                    work(store, shared, &method, &path, &body);
                }
                return;
            }
            None | Some(Fault::Pass) if method == "GET" && file(store, &path).is_some() => {
                (200, "", file(store, &path).unwrap())
            }
            None | Some(Fault::Pass) if path.starts_with("/metadata/") => (404, "", Vec::new()),
            None | Some(Fault::Pass) if token.as_deref() != Some(TOKEN) => {
                (401, "", br#"{"error":"wrong token"}"#.to_vec())
            }
            None | Some(Fault::Pass) => {
                let (status, answer) = work(store, shared, &method, &path, &body);
                (status, "", answer.into_bytes())
            }
        };
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n{extra}\r\n", answer.len());
        let mut out = stream;
        if out.write_all(&[head.as_bytes(), &answer].concat()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<(String, String, Option<String>, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut token, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, token, body))
}

/// What everybody may read.
fn file(store: &Store, path: &str) -> Option<Vec<u8>> {
    let repository = Repository::open(store);
    if let Some(name) = path.strip_prefix("/metadata/") {
        return repository.read_metadata(name).unwrap();
    }
    if let Some(id) = path.strip_prefix("/objects/") {
        return Some(store.read(id.parse().unwrap(), 1 << 30).unwrap());
    }
    repository.read_target(path.strip_prefix("/targets/")?).unwrap()
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime(since.as_secs() as i64)
}

fn publish(
    repository: &Repository<'_>,
    keys: Option<&OnlineKeys>,
    upload: Upload,
) -> Result<Committed, CommitError> {
    match keys {
        Some(keys) => repository.commit_online(upload, &Signer(keys), now()),
        None => repository.commit(upload, now()),
    }
}

fn work(store: &Store, shared: &Mutex<Shared>, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let repository = Repository::open(store);
    let keys = shared.lock().unwrap().keys.clone();
    match (method, path) {
        ("GET", "/v1/metadata") => {
            let view = load_view(store).unwrap();
            let current = view.iter().flat_map(|view| {
                let file = |(role, version): (&String, &u64)| {
                    (role.clone(), RoleFile { version: *version, sha256: view.digests[role] })
                };
                view.versions.iter().map(file)
            });
            let names = Names {
                online: keys.is_some(),
                current: current.collect(),
                metadata: repository.metadata_names().unwrap(),
                targets: repository.target_names().unwrap(),
            };
            (200, serde_json::to_string(&names).unwrap())
        }
        ("POST", "/v1/objects/missing") => {
            let Missing { ids } = serde_json::from_slice(body).unwrap();
            let missing = ids.into_iter().filter(|id| !store.contains(*id).unwrap()).collect();
            (200, serde_json::to_string(&MissingAnswer { missing }).unwrap())
        }
        ("PUT", "/v1/objects") => {
            let mut batch = store.batch().unwrap();
            let mut rest = body;
            while let Some((id, tail)) = rest.split_first_chunk::<32>() {
                let (len, tail) = tail.split_first_chunk().unwrap();
                let (bytes, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
                batch.put_expected(ObjectId::from_bytes(*id), bytes).unwrap();
                rest = tail;
            }
            let counts = batch.commit().unwrap();
            (200, serde_json::to_string(&Stored { stored: counts.stored, present: counts.present }).unwrap())
        }
        ("POST", "/v1/commit") => {
            let commit: Commit = serde_json::from_slice(body).unwrap();
            let bytes = |(name, text): (String, String)| (name, text.into_bytes());
            let upload = Upload {
                metadata: commit.metadata.into_iter().map(bytes).collect(),
                targets: commit.targets.into_iter().map(bytes).collect(),
                base: commit.base,
            };
            match publish(&repository, keys.as_deref(), upload) {
                Ok(_) => (200, "{}".to_owned()),
                Err(error) => {
                    let status = if error.is_conflict() { 409 } else { 422 };
                    (status, serde_json::json!({ "error": error.to_string() }).to_string())
                }
            }
        }
        ("GET", "/v1/nodes") => (200, NODES.to_owned()),
        _ => (404, r#"{"error":"no such call"}"#.to_owned()),
    }
}

const NODES: &str = r#"[{
  "node": "52-54-00-12-34-56", "group": "cluster", "pinned": "ha@2",
  "report": {"node": "52-54-00-12-34-56", "group": "cluster", "event": "confirmed", "message": "all 3 checks passed\u001b[31m",
    "slot": "b", "image": "ha@2", "manifest": null, "attempt": null, "health": "healthy", "slots": [], "quarantine": [],
    "fetched_bytes": 1234, "kernel": "6.1.0-42-amd64", "agent": "0.1.0"},
  "last_seen": "2026-11-20T10:00:00Z", "identity": {}, "events": []
}]"#;
