//! A running `imgserver` on the loopback.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::edit;
use crate::fleet::nodes::{self, Node};
use crate::http::{self, Request};
use crate::process::{self, Lifetime, Process};
use crate::view::View;
use crate::workspace;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    /// The delivery listener.
    pub delivery: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    data: PathBuf,
    log: PathBuf,
    process: Process,
    lifetime: Lifetime,
}

impl Server {
    /// Starts one on free ports with its data in `data`.
    pub fn start(data: &Path, lifetime: Lifetime) -> Result<Self> {
        let any = "127.0.0.1:0".parse().expect("an address");
        Self::start_at(data, lifetime, any, any)
    }

    /// `imgserver keys new`: a server on `data` signs snapshot and timestamp from then on. Gives the file with the public keys.
    pub fn new_keys(data: &Path, view: &View) -> Result<PathBuf> {
        let mut command = Command::new(workspace::built("imgserver")?);
        command.args(["keys", "new", "--json", "--data"]).arg(data);
        let made = process::run(&command, view)?.success("imgserver keys new")?;
        let path = data.with_extension("online.json");
        edit::write(&path, &made.stdout)?;
        Ok(path)
    }

    fn start_at(data: &Path, lifetime: Lifetime, delivery: SocketAddr, admin: SocketAddr) -> Result<Self> {
        let program = workspace::built("imgserver")?;
        let log = data.with_extension("log");
        let addresses = data.join("listen.json");
        if addresses.exists() {
            fs::remove_file(&addresses)?;
        }
        let mut args: Vec<OsString> = vec!["serve".into(), "--data".into(), data.into()];
        for (option, address) in [("--listen", delivery), ("--admin", admin)] {
            args.extend([option.into(), address.to_string().into()]);
        }
        let mut process = Process::start("imgserver", &program, &args, lifetime, &log)?;
        let begin = Instant::now();
        loop {
            if let Some(found) = read_addresses(&addresses)?
                && ready(found.0)
            {
                let (delivery, admin) = found;
                return Ok(Self { delivery, admin, data: data.into(), log, process, lifetime });
            }
            if let Some(status) = process.ended()? {
                bail!(
                    "imgserver ended at its start: {status}\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            if begin.elapsed() > START_LIMIT {
                bail!(
                    "imgserver is not ready after {START_LIMIT:?}\n{}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in good order (SIGTERM); it must end by itself.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.process.stop(STOP_LIMIT)?;
        anyhow::ensure!(status.success(), "imgserver after SIGTERM: expected exit status 0, found {status}");
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same ports.
    pub fn restart(&mut self) -> Result<()> {
        *self = Self::start_at(&self.data, self.lifetime, self.delivery, self.admin)?;
        Ok(())
    }

    /// Leaves it running; gives its process id.
    pub fn leave(self) -> u32 {
        let id = self.process.id().unwrap_or_default();
        self.process.leave();
        id
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The file with the admin's token.
    pub fn token_file(&self) -> PathBuf {
        self.data.join("admin.token")
    }

    /// The admin's token.
    pub fn token(&self) -> Result<String> {
        let path = self.token_file();
        Ok(fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?.trim().to_owned())
    }

    /// The admin listener's URL.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// All nodes that it knows.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        nodes::parse(&http::get_json(self.admin, "/v1/nodes", Some(&self.token()?))?)
    }

    /// One node, if it knows it.
    pub fn node(&self, id: &str) -> Result<Option<Node>> {
        Ok(self.nodes()?.into_iter().find(|node| node.id() == id))
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> Result<Option<f64>> {
        let text = Request::get("/metrics").send(self.delivery)?.text();
        Ok(text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()))
    }
}

fn ready(delivery: SocketAddr) -> bool {
    // Not listening yet is the reason to ask again.
    Request::get("/healthz").send(delivery).is_ok_and(|answer| answer.status == 200)
}

fn read_addresses(path: &Path) -> Result<Option<(SocketAddr, SocketAddr)>> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
    let value: Value = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let address = |key: &str| -> Result<SocketAddr> {
        let text = value[key].as_str().with_context(|| format!("{}: no {key:?}", path.display()))?;
        Ok(text.parse()?)
    };
    Ok(Some((address("delivery")?, address("admin")?)))
}
