//! What the machine gives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::cmdline::{BootSource, CMDLINE_MAX, Cmdline};
use crate::modules::{Loaded, Loader};
use crate::say;

/// The embedded root of trust.
const ROOT_JSON: &str = "/etc/bascule/root.json";

/// Largest root read, in bytes; as the verifier's limit.
const ROOT_MAX: u64 = 512 << 10;

/// Most names on one console line.
const NAMES_MAX: usize = 40;

/// The machine as seen from PID 1.
#[derive(Debug)]
pub struct Environment {
    /// The kernel command line.
    pub cmdline: Cmdline,
    /// `/sys`.
    pub sysfs: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/lib/modules/<release>`.
    pub modules: PathBuf,
    /// Release of the running kernel.
    pub release: String,
    /// The embedded root.
    pub root_json: Vec<u8>,
    /// When the agent started, since the kernel did.
    pub started: Duration,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// No command line, or no root of trust: an agent that trusts nobody must not ask anybody.
    pub fn read() -> anyhow::Result<Self> {
        let started = crate::console::uptime();
        let text = std::fs::read("/proc/cmdline").context("read /proc/cmdline")?;
        let cmdline = Cmdline::parse(&String::from_utf8_lossy(&text[..text.len().min(CMDLINE_MAX)]));
        for word in &cmdline.ignored {
            say!("command line: {word:?} is unknown, invalid or given twice: ignored");
        }
        say!("command line: {}", describe(&cmdline));
        let length = std::fs::metadata(ROOT_JSON)
            .with_context(|| format!("find the root of trust {ROOT_JSON}"))?
            .len();
        anyhow::ensure!(length <= ROOT_MAX, "{ROOT_JSON}: {length} bytes, at most {ROOT_MAX} are read");
        let root_json = std::fs::read(ROOT_JSON).with_context(|| format!("read {ROOT_JSON}"))?;
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let modules = Path::new("/lib/modules").join(&release);
        Ok(Self { cmdline, sysfs: "/sys".into(), dev: "/dev".into(), modules, release, root_json, started })
    }

    /// SHA-256 of the embedded root: the fingerprint of the repository.
    pub fn root_digest(&self) -> image_format::Sha256 {
        image_format::Sha256::of(&self.root_json)
    }

    /// Loads modules, and gives the loader for devices that appear later.
    ///
    /// # Errors
    /// The module lists cannot be read.
    pub(super) fn load_modules(&self) -> anyhow::Result<Loader> {
        let failed = || format!("read the module lists in {}", self.modules.display());
        let mut loader = Loader::open(&self.modules, &self.sysfs).with_context(failed)?;
        let mut all = loader.load_listed().with_context(failed)?;
        let devices = loader.load_for_devices();
        all.loaded.extend(devices.loaded);
        all.refused.extend(devices.refused);
        tell(&all);
        Ok(loader)
    }
}

/// Loads modules for devices that have appeared since.
pub(super) fn settle(loader: &mut Loader) {
    let done = loader.load_for_devices();
    if done != Loaded::default() {
        tell(&done);
    }
}

fn tell(done: &Loaded) {
    let names: Vec<&str> = done.loaded.iter().take(NAMES_MAX).map(String::as_str).collect();
    say!("modules: {} loaded: {}", done.loaded.len(), names.join(" "));
    for (name, reason) in &done.refused {
        say!("modules: {name} not loaded: {reason}; going on without");
    }
}

fn describe(cmdline: &Cmdline) -> String {
    let boot = match cmdline.boot {
        BootSource::Net => "from the network",
        BootSource::Local => "from the local disk",
        BootSource::Kexec => "by kexec",
    };
    let mac = cmdline.mac.map(|mac| format!(", interface {mac}")).unwrap_or_default();
    let server = cmdline.server.as_ref().map(|url| format!(", server {url}")).unwrap_or_default();
    let join = cmdline.join.as_ref().map(|token| format!(", join token {}", token.id)).unwrap_or_default();
    format!("started {boot}{mac}{server}{join}")
}
