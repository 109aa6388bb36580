//! A node as a virtual machine: QEMU in software emulation, SeaBIOS, QEMU's own iPXE ROM, a raw disk.
//!
//! The network is QEMU's user network, closed (`restrict=on`): the guest reaches [`SERVER_IP`] and nothing else, there only
//! the forwarded ports, and each connection goes through a [`crate::relay`] to the host's loopback. Its DHCP names the boot
//! script. The firmware tries the network first and the disk second.

pub mod config;
pub mod console;
pub mod freeze;
pub mod qmp;
mod sockets;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

pub use config::{Config, SERVER_IP};
pub use console::{Console, Line, Mark};
pub use qmp::Qmp;

use crate::process::{Lifetime, Process};
use sockets::SocketDir;

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running virtual machine; killed when dropped.
#[derive(Debug)]
pub struct Vm {
    /// Its serial console.
    pub console: Console,
    qmp: Arc<Mutex<Qmp>>,
    process: Process,
    config: Config,
    sockets: SocketDir,
}

impl Vm {
    /// Starts a machine and connects to its console and control socket before its first instruction.
    pub fn start(config: Config, lifetime: Lifetime) -> Result<Self> {
        std::fs::create_dir_all(&config.dir).with_context(|| format!("create {}", config.dir.display()))?;
        let sockets = SocketDir::make()?;
        let relay = config.install_relay()?;
        let log = config.dir.join("qemu.log");
        let args = config.arguments(&relay, &sockets);
        let mut process = Process::start(
            "qemu-system-x86_64",
            "/usr/bin/qemu-system-x86_64".as_ref(),
            &args,
            lifetime,
            &log,
        )?;
        let begin = Instant::now();
        let connected = loop {
            // The console first: QEMU waits for it (wait=on) before it serves anything.
            match Console::connect(&sockets.serial(), &config.dir.join("console.log")) {
                Ok(console) => break console,
                Err(error) if begin.elapsed() > START_LIMIT => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
            if let Some(status) = process.ended()? {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("qemu-system-x86_64 ended at its start: {status}\n{text}");
            }
        };
        let mut qmp = Qmp::connect(&sockets.qmp(), START_LIMIT)?;
        qmp.command("cont")?;
        let qmp = Arc::new(Mutex::new(qmp));
        freeze::watch(connected.clone(), Arc::clone(&qmp));
        Ok(Self { console: connected, qmp, process, config, sockets })
    }

    /// Pulls the reset line: the machine starts over as after a power cut. What the guest had not flushed may be lost.
    pub fn reset(&mut self) -> Result<Mark> {
        let mark = self.console.mark();
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner).command("system_reset")?;
        Ok(mark)
    }

    /// Takes the virtual machine away.
    pub fn power_off(mut self) {
        self.process.kill();
    }

    /// Leaves it running; gives its process id and its console's socket.
    pub fn leave(self) -> (u32, PathBuf) {
        let Self { process, sockets, .. } = self;
        let id = process.id().unwrap_or_default();
        process.leave();
        (id, sockets.keep().join("serial"))
    }

    /// The node's id, its MAC address with dashes.
    pub fn node(&self) -> String {
        self.config.node()
    }
}
