//! From no network to an address and a route.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use super::dhcp::{self, DhcpError, Lease};
use super::{Choice, Mac, Nic, choose, list};
use crate::cmdline::StaticIp;
use crate::http::retry::seed;
use crate::sys::net::{Control, Route, bind_to_device, netmask};

/// How often sysfs is looked at while waiting for hardware.
const POLL: Duration = Duration::from_millis(20);

/// What to bring up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The interface, by address; none: the only one, or the first with a link.
    pub mac: Option<Mac>,
    /// A fixed address; none: DHCP.
    pub ip: Option<StaticIp>,
    /// Time for all of it.
    pub limit: Duration,
}

/// A working interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The interface.
    pub nic: Nic,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network prefix.
    pub prefix: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Domain for names without dots.
    pub domain: Option<String>,
    /// The DHCP server; none for a fixed address.
    pub dhcp_server: Option<Ipv4Addr>,
    /// Time it took.
    pub took: Duration,
}

impl fmt::Display for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}/{}", self.nic.name, self.nic.mac, self.address, self.prefix)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        let origin = if self.dhcp_server.is_some() { "dhcp" } else { "fixed" };
        write!(f, " ({origin}, {:.2} s)", self.took.as_secs_f64())
    }
}

/// No network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No suitable interface appeared.
    #[error("no interface after {} s: {why}", waited.as_secs())]
    NoInterface {
        /// Time spent.
        waited: Duration,
        /// What was expected and found.
        why: String,
    },
    /// The interface has no link.
    #[error("interface {name} has no link after {} s: is the cable in?", waited.as_secs())]
    NoLink {
        /// Its name.
        name: String,
        /// Time spent.
        waited: Duration,
    },
    /// The kernel refused a setting.
    #[error("cannot set {what} of interface {name}")]
    Setting {
        /// Link, address, route, socket.
        what: &'static str,
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No lease.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
}

/// Brings up loopback and the wanted interface.
///
/// # Errors
/// [`NetError`] names the step; what was set stays set, and the call may be repeated.
pub fn bring_up(sysfs: &Path, wanted: &Wanted) -> Result<Configured, NetError> {
    let start = Instant::now();
    let control = Control::open().map_err(setting("socket", "lo"))?;
    control.up("lo").map_err(setting("link", "lo"))?;
    let nic = find(sysfs, wanted, &control, start)?;
    wait_for_link(sysfs, &nic, wanted.limit, start)?;
    let lease = match wanted.ip {
        Some(_) => None,
        None => Some(ask(&nic, wanted.limit.saturating_sub(start.elapsed()))?),
    };
    let configured = configured(nic, wanted.ip, lease);
    apply(&control, &configured)?;
    Ok(Configured { took: start.elapsed(), ..configured })
}

fn setting(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> NetError {
    move |source| NetError::Setting { what, name: name.to_owned(), source }
}

/// An interface that is down has no link to see, so candidates are brought up while choosing among them.
fn find(sysfs: &Path, wanted: &Wanted, control: &Control, start: Instant) -> Result<Nic, NetError> {
    loop {
        let nics = list(sysfs);
        match choose(&nics, wanted.mac) {
            Choice::Use(nic) => {
                control.up(&nic.name).map_err(setting("link", &nic.name))?;
                return Ok(nic);
            }
            Choice::Wait(why) => {
                if start.elapsed() >= wanted.limit {
                    return Err(NetError::NoInterface { waited: start.elapsed(), why });
                }
                if wanted.mac.is_none() {
                    for nic in nics.iter().filter(|nic| nic.physical) {
                        control.up(&nic.name).map_err(setting("link", &nic.name))?;
                    }
                }
                std::thread::sleep(POLL);
            }
        }
    }
}

fn wait_for_link(sysfs: &Path, nic: &Nic, limit: Duration, start: Instant) -> Result<(), NetError> {
    while !list(sysfs).iter().any(|now| now.name == nic.name && now.carrier) {
        if start.elapsed() >= limit {
            return Err(NetError::NoLink { name: nic.name.clone(), waited: start.elapsed() });
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn ask(nic: &Nic, limit: Duration) -> Result<Lease, NetError> {
    let socket = UdpSocket::bind(dhcp::CLIENT).map_err(setting("DHCP socket", &nic.name))?;
    bind_to_device(&socket, &nic.name).map_err(setting("DHCP socket", &nic.name))?;
    socket.set_broadcast(true).map_err(setting("DHCP socket", &nic.name))?;
    Ok(dhcp::run(&socket, dhcp::SERVERS, nic.mac, seed(), limit)?)
}

fn configured(nic: Nic, fixed: Option<StaticIp>, lease: Option<Lease>) -> Configured {
    let none = Configured {
        nic,
        address: Ipv4Addr::UNSPECIFIED,
        prefix: 32,
        gateway: None,
        dns: Vec::new(),
        domain: None,
        dhcp_server: None,
        took: Duration::ZERO,
    };
    match (fixed, lease) {
        (Some(fixed), _) => {
            Configured { address: fixed.address, prefix: fixed.prefix, gateway: fixed.gateway, ..none }
        }
        (None, Some(lease)) => Configured {
            address: lease.address,
            prefix: lease.prefix,
            gateway: lease.gateway,
            dns: lease.dns,
            domain: lease.domain,
            dhcp_server: Some(lease.server),
            ..none
        },
        (None, None) => none,
    }
}

fn apply(control: &Control, to: &Configured) -> Result<(), NetError> {
    let name = &to.nic.name;
    control.set_address(name, to.address, to.prefix).map_err(setting("address", name))?;
    if let Some(gateway) = to.gateway {
        let mask = u32::from(netmask(to.prefix));
        if u32::from(gateway) & mask != u32::from(to.address) & mask {
            control.add_route(name, Route::Host(gateway)).map_err(setting("route to the gateway", name))?;
        }
        control.add_route(name, Route::Default(gateway)).map_err(setting("default route", name))?;
    }
    Ok(())
}

/// The name servers as `resolv.conf` wants them.
pub fn resolv_conf(net: &Configured) -> String {
    let mut text = String::new();
    if let Some(domain) = &net.domain {
        text.push_str(&format!("search {domain}\n"));
    }
    for server in &net.dns {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Configured {
        let nic = Nic {
            name: "eth0".to_owned(),
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            physical: true,
            carrier: true,
        };
        let fixed = "10.0.2.15/24,10.0.2.2".parse().unwrap();
        configured(nic, Some(fixed), None)
    }

    #[test]
    fn the_line_for_the_console() {
        let net = Configured { took: Duration::from_millis(310), ..example() };
        assert_eq!(net.to_string(), "eth0 52-54-00-00-00-01 10.0.2.15/24 via 10.0.2.2 (fixed, 0.31 s)");
    }

    #[test]
    fn name_servers_are_written_for_the_resolver() {
        let dns = vec![Ipv4Addr::new(10, 0, 2, 3)];
        let net = Configured { dns, domain: Some("lan".to_owned()), ..example() };
        assert_eq!(resolv_conf(&net), "search lan\nnameserver 10.0.2.3\n");
    }

    #[test]
    fn without_hardware_the_error_says_what_was_expected() {
        let nothing = tempfile::tempdir().unwrap();
        let wanted = Wanted { mac: Some(Mac([2; 6])), ip: None, limit: Duration::ZERO };
        let control = Control::open().unwrap();
        let error = find(nothing.path(), &wanted, &control, Instant::now()).unwrap_err();
        assert!(
            error.to_string().contains("expected an interface with address 02-02-02-02-02-02"),
            "{error}"
        );
    }
}
