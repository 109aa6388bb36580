//! A signed repository in memory, and a server for its files.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use image_format::pin::{ASSIGNMENTS_PATH, Assignments, PIN_FORMAT, Pin, PinnedImage, pin_path};
use image_format::{Manifest, NodeId, Sha256};
use initramfs_agent::http::BaseUrl;
use signing::repo::{Lifetimes, Repository, RoleKeys, RoleName, Section};
use signing::{SecretKey, UnixTime, Value};

/// The time of all tests.
pub fn now() -> UnixTime {
    UnixTime(1_800_000_000)
}

/// The node of all tests.
pub fn node() -> NodeId {
    "52-54-00-12-34-56".parse().unwrap()
}

/// A manifest that every rule allows.
pub fn manifest(name: &str, counter: u64) -> Manifest {
    let mut manifest = image_format::test_images::manifest(name, counter);
    manifest.root.index.size = 96;
    manifest
}

/// A repository with its keys.
pub struct Repo {
    pub repository: Repository,
    pub keys: RoleKeys,
    /// The first root, as the initramfs embeds it.
    pub root: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    pub fn new() -> Self {
        let mut keys = RoleKeys::default();
        for role in RoleName::ALL {
            keys.of_mut(role).push(SecretKey::generate().unwrap());
        }
        let mut repository = Repository::create(&keys, Lifetimes::default());
        let metadata = repository.write(&keys, now()).unwrap();
        let root = metadata["1.root.json"].clone();
        let mut repo = Self { repository, keys, root, files: BTreeMap::new() };
        repo.keep(metadata);
        repo
    }

    fn keep(&mut self, metadata: BTreeMap<String, Vec<u8>>) {
        self.files.extend(metadata.into_iter().map(|(name, bytes)| (format!("/metadata/{name}"), bytes)));
    }

    fn target(&mut self, section: Section, path: &str, bytes: Vec<u8>) -> Sha256 {
        let digest = Sha256::of(&bytes);
        self.repository.set_target(section, path, bytes.len() as u64, digest.as_bytes(), None).unwrap();
        let (directory, name) = path.rsplit_once('/').unwrap();
        self.files.insert(format!("/targets/{directory}/{digest}.{name}"), bytes);
        digest
    }

    pub fn release(&mut self, manifest: &Manifest) -> Sha256 {
        self.release_as(&manifest.name.to_string(), manifest)
    }

    /// Releases a manifest under the name of another image.
    pub fn release_as(&mut self, name: &str, manifest: &Manifest) -> Sha256 {
        self.target(Section::Releases, &format!("images/{name}.json"), manifest.to_bytes().unwrap())
    }

    pub fn pin(&mut self, group: &str, name: &str, manifest: Sha256) {
        self.put_pin_under(group, group, name, manifest);
    }

    /// Puts the pin of group `inside` under the path of `group`.
    pub fn put_pin_under(&mut self, group: &str, inside: &str, name: &str, manifest: Sha256) {
        let stable = PinnedImage { name: name.parse().unwrap(), manifest };
        let pin = Pin { format: PIN_FORMAT, group: inside.parse().unwrap(), stable, disk: None };
        self.target(Section::Pins, &pin_path(&group.parse().unwrap()), pin.to_bytes().unwrap());
    }

    pub fn assign(&mut self, assignments: &Assignments) {
        self.target(Section::Pins, ASSIGNMENTS_PATH, assignments.to_bytes().unwrap());
    }

    pub fn assign_default(&mut self, group: &str) {
        let mut assignments = Assignments::empty();
        assignments.default = Some(group.parse().unwrap());
        self.assign(&assignments);
    }

    pub fn floor(&mut self, role: &str, floor: i64) {
        let floors = Value::from([("floors", Value::from([(role, Value::Int(floor))]))]);
        let custom = Value::from([("bascule", floors)]);
        self.repository
            .set_target(Section::Targets, "floor", 0, Sha256::of(b"").as_bytes(), Some(custom))
            .unwrap();
    }

    /// Signs, and gives all files of the server by path.
    pub fn publish(&mut self) -> BTreeMap<String, Vec<u8>> {
        self.publish_at(now())
    }

    /// The same at another time.
    pub fn publish_at(&mut self, now: UnixTime) -> BTreeMap<String, Vec<u8>> {
        let metadata = self.repository.write(&self.keys, now).unwrap();
        self.keep(metadata);
        self.files.clone()
    }
}

/// A server for files in memory. It lives as long as the test process.
pub struct HttpServer {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl HttpServer {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(path) = read_request(&mut reader) {
                    seen.lock().unwrap().push(path.clone());
                    let (status, body) = match files.get(&path) {
                        Some(body) => ("200 OK", body.as_slice()),
                        None => ("404 Not Found", &b"no such file\n"[..]),
                    };
                    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
                    // In one piece: a head alone would wait for the client's delayed acknowledgement.
                    if stream.write_all(&[head.as_bytes(), body].concat()).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, requests }
    }

    pub fn base(&self) -> BaseUrl {
        format!("http://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// Paths asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    first.split(' ').nth(1).map(str::to_owned)
}
