//! The network, brought up beside the disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::environment::{Environment, settle};
use crate::modules::Loader;
use crate::net::{Configured, Mac, NetError, Wanted, bring_up, resolv_conf};
use crate::say;

/// For finding the interface, its link and an address, in one go.
const LIMIT: Duration = Duration::from_secs(120);

/// How often devices are looked at while waiting.
const SETTLE: Duration = Duration::from_millis(100);

/// A network that is coming up, up, or failed.
#[derive(Debug)]
pub(super) enum Link {
    Coming(Receiver<Result<Configured, NetError>>),
    Up(Configured),
    Failed,
}

impl Link {
    /// Begins to bring up the interface with the address `mac`, or the only one.
    pub(super) fn start(environment: &Environment, mac: Option<Mac>) -> Self {
        let sysfs = environment.sysfs.clone();
        let wanted = Wanted { mac, ip: environment.cmdline.ip, limit: LIMIT };
        let (send, receive) = channel();
        let begun = std::thread::Builder::new().name("network".to_owned()).spawn(move || {
            let _nobody_waits = send.send(bring_up(&sysfs, &wanted));
        });
        match begun {
            Ok(_) => Self::Coming(receive),
            Err(error) => {
                say!("network: cannot start a thread: {error}; going on without a network");
                Self::Failed
            }
        }
    }

    /// Waits until the network is up or `until` has come, while drivers for late devices are loaded.
    pub(super) fn wait(&mut self, until: Instant, devices: &mut Loader) -> Option<&Configured> {
        while let Self::Coming(receive) = self {
            match receive.recv_timeout(SETTLE) {
                Ok(Ok(configured)) => {
                    say!("network: {configured}");
                    if let Err(error) = std::fs::write("/etc/resolv.conf", resolv_conf(&configured)) {
                        say!("network: write /etc/resolv.conf: {error}; host names will not be found");
                    }
                    *self = Self::Up(configured);
                }
                Ok(Err(error)) => {
                    say!("network: {:#}; going on without a network", anyhow::Error::new(error));
                    *self = Self::Failed;
                }
                Err(RecvTimeoutError::Disconnected) => *self = Self::Failed,
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    say!("network: not up in time; going on without");
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => settle(devices),
            }
        }
        match self {
            Self::Up(configured) => Some(configured),
            _ => None,
        }
    }

    /// The address of the interface in use.
    pub(super) fn mac(&self) -> Option<Mac> {
        match self {
            Self::Up(configured) => Some(configured.nic.mac),
            _ => None,
        }
    }
}
