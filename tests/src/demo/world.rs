//! What the stages share: an admin's repository, a server, a node.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::edit;
use crate::fixture::{self, Stage};
use crate::fleet::{Node, Repo, Server};
use crate::process::Lifetime;
use crate::report::Report;
use crate::view::View;
use crate::vm::{self, Config, Console, Mark, Vm};
use crate::workspace;

/// The group that every node of the demo belongs to.
pub const GROUP: &str = "web";

/// The role of the demo.
pub const ROLE: &str = "ha";

/// Size of a node's disk in MiB.
pub const DISK_MIB: u64 = 8 << 10;

/// The node's MAC address.
const MAC: &str = "52:54:00:12:34:56";

/// Longest wait for anything that a node does in one boot. Software emulation is slow.
pub const BOOT_LIMIT: Duration = Duration::from_secs(360);

/// How often the node list is read. The server has no call that waits for a change.
const POLL: Duration = Duration::from_millis(300);

/// The name of the file that marks a directory as ours to remove.
const MARKER: &str = ".bascule-demo";

/// Repository, server and node.
#[derive(Debug)]
pub struct World<'v> {
    /// What a person sees.
    pub view: &'v View,
    /// The admin.
    pub repo: Repo<'v>,
    /// The server.
    pub server: Server,
    /// The numbers.
    pub report: Report,
    dir: PathBuf,
    lifetime: Lifetime,
    vm: Option<Vm>,
}

impl<'v> World<'v> {
    /// Makes an empty world in `dir`, which may hold an older one: a new repository, a copy of the recipes, a server.
    pub fn make(view: &'v View, dir: &Path, lifetime: Lifetime) -> Result<Self> {
        fresh_dir(dir)?;
        let images = dir.join("images");
        edit::copy_dir(&workspace::root().join("images"), &images)?;
        let online_keys = Server::new_keys(&dir.join("server"), view)?;
        let server = Server::start(&dir.join("server"), lifetime)?;
        let repo = Repo::at(view, &dir.join("repo"), &images)?;
        repo.init_online(&server, &online_keys)?;
        repo.share_cache()?;
        Ok(Self { view, repo, server, report: Report::default(), dir: dir.into(), lifetime, vm: None })
    }

    /// The same with the [fixture](crate::fixture) as its repository.
    pub fn from_fixture(view: &'v View, dir: &Path, lifetime: Lifetime) -> Result<Self> {
        fresh_dir(dir)?;
        let server = Server::start(&dir.join("server"), lifetime)?;
        fixture::copy_to(&dir.join("repo"), Stage::Signed)?;
        let repo = Repo::at(view, &dir.join("repo"), &workspace::root().join("images"))?;
        repo.set_remote(&server)?;
        Ok(Self { view, repo, server, report: Report::default(), dir: dir.into(), lifetime, vm: None })
    }

    /// Switches on a new node with these disks, in place of the node before.
    pub fn start_node(&mut self, name: &str, disks: Vec<PathBuf>) -> Result<&mut Vm> {
        if let Some(old) = self.vm.take() {
            old.power_off();
        }
        let config = Config {
            name: name.into(),
            dir: self.dir.join(name),
            mac: MAC.into(),
            disks,
            delivery: self.server.delivery.port(),
            admin: self.server.admin.port(),
        };
        Ok(self.vm.insert(Vm::start(config, self.lifetime)?))
    }

    /// A new blank disk.
    pub fn disk(&self, name: &str, mib: u64) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}.raw"));
        vm::config::blank_disk(&path, mib)?;
        Ok(path)
    }

    /// The node.
    pub fn vm(&mut self) -> Result<&mut Vm> {
        self.vm.as_mut().context("no node is running")
    }

    /// The node's console.
    pub fn console(&self) -> Result<&Console> {
        Ok(&self.vm.as_ref().context("no node is running")?.console)
    }

    /// Where the node's console is kept.
    pub fn console_log(&self) -> PathBuf {
        self.vm.as_ref().map_or_else(PathBuf::new, |vm| vm.console.log().to_owned())
    }

    /// What the server knows of the node now.
    pub fn node(&self) -> Result<Node> {
        let id = self.vm.as_ref().context("no node is running")?.node();
        self.server.node(&id)?.with_context(|| format!("the server does not know node {id}"))
    }

    /// Waits until the server's view of the node satisfies `good`; fails at once when `bad` says why it never will.
    pub fn wait_node(
        &self,
        what: &str,
        limit: Duration,
        good: impl Fn(&Node) -> bool,
        bad: impl Fn(&Node) -> Option<String>,
    ) -> Result<Node> {
        let begin = Instant::now();
        let vm = self.vm.as_ref().context("no node is running")?;
        let id = vm.node();
        let mut seen = vm.console.mark();
        loop {
            let node = self.server.node(&id)?;
            if let Some(node) = &node {
                if good(node) {
                    return Ok(node.clone());
                }
                if let Some(why) = bad(node) {
                    bail!("waiting for {what}: {why}");
                }
            }
            if let Some(line) = vm.console.latest() {
                self.view.status(&line.text);
            }
            seen = vm.console.alive(seen).with_context(|| format!("waiting for {what}"))?;
            if begin.elapsed() > limit {
                let last = node.map_or_else(
                    || "nothing".to_owned(),
                    |node| format!("{} ({})", node.event(), node.message()),
                );
                bail!("waiting for {what}: not within {limit:?}; the node's last report: {last}");
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the node runs `image` in `slot`, healthy and confirmed.
    pub fn wait_runs(&self, image: &str, slot: &str) -> Result<Node> {
        self.wait_node(
            &format!("{image} confirmed in slot {slot}"),
            BOOT_LIMIT,
            |node| node.runs(image, slot),
            |node| node.quarantine(image).map(|why| format!("{image} was rolled back: {why}")),
        )
    }

    /// Restarts the node by its reset line; gives the position in the console and what the server knew before.
    pub fn reset_node(&mut self) -> Result<(Mark, Node)> {
        let before = self.node()?;
        let mark = self.vm()?.reset()?;
        Ok((mark, before))
    }

    /// Builds, signs and publishes an image; the times go into the report. Gives how long the publication took.
    pub fn ship(&mut self, version: &str) -> Result<Duration> {
        let name = format!("{ROLE}@{version}");
        let (built, output) = self.repo.build(ROLE, version)?;
        super::measure::build(&mut self.report, &name, &built, &output);
        let (_, output) = self.repo.sign(&name)?;
        self.report.time(&format!("{name}: sign"), output.took);
        let (_, output) = self.repo.publish(&name)?;
        self.report.time(&format!("{name}: publish"), output.took);
        Ok(output.took)
    }

    /// Prints the end of the node's console.
    pub fn show_console(&self) {
        if let Some(vm) = &self.vm {
            self.view.note(&vm.console.tail(60));
        }
    }

    /// Leaves server and node running and says how to reach and how to end them.
    pub fn keep(self) -> Result<()> {
        let Self { view, server, vm, .. } = self;
        let (delivery, admin, token) = (server.delivery, server.admin, server.token_file());
        let server_id = server.leave();
        view.note(&format!("The server is running: delivery http://{delivery}, admin http://{admin}"));
        view.note(&format!(
            "  curl -H \"Authorization: Bearer $(cat {})\" http://{admin}/v1/nodes",
            token.display()
        ));
        let mut ids = server_id.to_string();
        if let Some(vm) = vm {
            let (id, socket) = vm.leave();
            ids += &format!(" {id}");
            view.note(&format!("The node is running; its serial console is the socket {}", socket.display()));
            view.note(&format!("  socat -,rawer,escape=0x1d UNIX-CONNECT:{}", socket.display()));
        }
        view.note(&format!("To end them: kill {ids}"));
        Ok(())
    }
}

fn fresh_dir(dir: &Path) -> Result<()> {
    if dir.exists() {
        ensure!(
            dir.join(MARKER).exists(),
            "{}: exists and was not made by the demo; move it away",
            dir.display()
        );
        fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    edit::write(&dir.join(MARKER), "")
}
