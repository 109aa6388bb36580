//! The `bascule.` words of the kernel command line.
//!
//! The line may come from anyone who answers on the boot network, so it is an allow-list: a known word with a valid value
//! counts once, the first time; everything else that begins with `bascule.` is ignored and named on the console. No word
//! can weaken a check: servers and addresses only say where to ask.

use std::net::Ipv4Addr;
use std::str::FromStr;

use fleet_protocol::join::JoinToken;
use image_format::ObjectId;

use crate::http::BaseUrl;
use crate::net::Mac;

/// Longest kernel command line looked at, in bytes; the kernel's own limit on x86 is 2048.
pub const CMDLINE_MAX: usize = 4096;

/// Most ignored words that are remembered for the console.
const IGNORED_MAX: usize = 16;

/// Who started this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootSource {
    /// Firmware or iPXE from the network; also when nothing is said.
    #[default]
    Net,
    /// The boot loader on the local disk.
    Local,
    /// This agent, by kexec.
    Kexec,
}

impl FromStr for BootSource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "net" => Ok(Self::Net),
            "local" => Ok(Self::Local),
            "kexec" => Ok(Self::Kexec),
            _ => Err(()),
        }
    }
}

/// A fixed address, `ADDR/PREFIX` or `ADDR/PREFIX,GATEWAY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticIp {
    /// The node's address.
    pub address: Ipv4Addr,
    /// Length of the network prefix, 1 to 32.
    pub prefix: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
}

impl FromStr for StaticIp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (network, gateway) = match text.split_once(',') {
            Some((network, gateway)) => (network, Some(gateway.parse().map_err(drop)?)),
            None => (text, None),
        };
        let (address, prefix) = network.split_once('/').ok_or(())?;
        let address: Ipv4Addr = address.parse().map_err(drop)?;
        let prefix = prefix.parse().map_err(drop)?;
        if !(1..=32).contains(&prefix) || address.is_unspecified() || address.is_multicast() {
            return Err(());
        }
        Ok(Self { address, prefix, gateway })
    }
}

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cmdline {
    /// `bascule.server`: the delivery listener.
    pub server: Option<BaseUrl>,
    /// `bascule.admin`: the admin listener, for reports.
    pub admin: Option<BaseUrl>,
    /// `bascule.mac`: the interface that booted, and the node's identity.
    pub mac: Option<Mac>,
    /// `bascule.kernel`: the kernel object that is running.
    pub kernel: Option<ObjectId>,
    /// `bascule.boot`.
    pub boot: BootSource,
    /// `bascule.ip`: a fixed address instead of DHCP.
    pub ip: Option<StaticIp>,
    /// `bascule.join`: a join token, a secret.
    pub join: Option<JoinToken>,
    /// `bascule.` words that do not count, cut to 80 characters.
    pub ignored: Vec<String>,
}

impl Cmdline {
    /// Reads a command line; never fails, see the module.
    pub fn parse(text: &str) -> Self {
        let end = (0..=CMDLINE_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
        let mut parsed = Self::default();
        let mut boot = None;
        for word in text[..end.unwrap_or(0)].split_ascii_whitespace() {
            let Some((key, value)) =
                word.strip_prefix("bascule.").map(|rest| rest.split_once('=').unwrap_or((rest, "")))
            else {
                continue;
            };
            let taken = match key {
                "server" => take(&mut parsed.server, value),
                "admin" => take(&mut parsed.admin, value),
                "mac" => take(&mut parsed.mac, value),
                "kernel" => take(&mut parsed.kernel, value),
                "boot" => take(&mut boot, value),
                "ip" => take(&mut parsed.ip, value),
                "join" => take(&mut parsed.join, value),
                _ => false,
            };
            if !taken && parsed.ignored.len() < IGNORED_MAX {
                // What is left of a token is still a secret.
                let shown = if key == "join" { "bascule.join=…" } else { word };
                parsed.ignored.push(shown.chars().take(80).collect());
            }
        }
        parsed.boot = boot.unwrap_or_default();
        parsed
    }

    /// The words for a kernel that this agent starts by kexec.
    pub fn for_kexec(&self, kernel: ObjectId) -> String {
        let mut words = Vec::new();
        words.extend(self.server.as_ref().map(|url| format!("bascule.server={url}")));
        words.extend(self.admin.as_ref().map(|url| format!("bascule.admin={url}")));
        words.extend(self.mac.map(|mac| format!("bascule.mac={mac}")));
        words.extend(self.ip.map(|ip| match ip.gateway {
            Some(gateway) => format!("bascule.ip={}/{},{gateway}", ip.address, ip.prefix),
            None => format!("bascule.ip={}/{}", ip.address, ip.prefix),
        }));
        words.extend(self.join.as_ref().map(|token| format!("bascule.join={}", token.to_text())));
        words.push(format!("bascule.kernel={kernel} bascule.boot=kexec"));
        words.join(" ")
    }
}

/// Fills an empty place; a second or an invalid value does not count.
fn take<T: FromStr>(place: &mut Option<T>, value: &str) -> bool {
    match value.parse() {
        Ok(value) if place.is_none() => {
            *place = Some(value);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KERNEL: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn every_word_of_the_contract_is_read() {
        let line = format!(
            "console=ttyS0,115200 panic=10 bascule.server=http://10.0.2.2:7080 bascule.admin=http://10.0.2.2:7081 \
             bascule.mac=52-54-00-12-34-56 bascule.kernel={KERNEL} bascule.boot=local bascule.ip=10.0.2.15/24,10.0.2.2 \
             bascule.join=bascule-join-1.010203040506.{}.{KERNEL}.rack-7\n",
            "ab".repeat(16)
        );
        let parsed = Cmdline::parse(&line);
        assert_eq!(parsed.server.as_ref().unwrap().to_string(), "http://10.0.2.2:7080");
        assert_eq!(parsed.admin.as_ref().unwrap().to_string(), "http://10.0.2.2:7081");
        assert_eq!(parsed.mac.unwrap().to_string(), "52-54-00-12-34-56");
        assert_eq!(parsed.kernel.unwrap().to_string(), KERNEL);
        assert_eq!(parsed.boot, BootSource::Local);
        let gateway = Some(Ipv4Addr::new(10, 0, 2, 2));
        assert_eq!(parsed.ip, Some(StaticIp { address: Ipv4Addr::new(10, 0, 2, 15), prefix: 24, gateway }));
        assert_eq!(
            parsed.join.as_ref().and_then(|token| token.group.clone()),
            Some("rack-7".parse().unwrap())
        );
        assert!(!format!("{parsed:?}").contains("abab"), "a token is a secret");
        assert_eq!(parsed.ignored, Vec::<String>::new());
        let again = Cmdline::parse(&parsed.for_kexec(parsed.kernel.unwrap()));
        assert_eq!(again, Cmdline { boot: BootSource::Kexec, ..parsed });
    }

    #[test]
    fn words_outside_the_allow_list_are_named_and_ignored() {
        let parsed = Cmdline::parse(
            "init=/bin/sh bascule.insecure=1 bascule.root=/dev/sda bascule.server=https://x bascule.boot=usb bascule.mac",
        );
        let ignored = [
            "bascule.insecure=1",
            "bascule.root=/dev/sda",
            "bascule.server=https://x",
            "bascule.boot=usb",
            "bascule.mac",
        ];
        assert_eq!(parsed, Cmdline { ignored: ignored.map(str::to_owned).to_vec(), ..Cmdline::default() });
    }

    #[test]
    fn a_cut_token_is_not_shown() {
        let parsed = Cmdline::parse("bascule.join=bascule-join-1.010203040506.abab");
        assert_eq!((parsed.join, parsed.ignored), (None, vec!["bascule.join=…".to_owned()]));
    }

    #[test]
    fn the_first_value_stands() {
        let parsed = Cmdline::parse("bascule.boot=local bascule.boot=net");
        assert_eq!((parsed.boot, parsed.ignored.len()), (BootSource::Local, 1));
    }

    #[test]
    fn bad_addresses_are_refused() {
        for bad in [
            "10.0.0.1",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "0.0.0.0/8",
            "224.0.0.1/8",
            "10.0.0.1/24,",
            "10.0.0.1/24,x",
        ] {
            assert_eq!(bad.parse::<StaticIp>(), Err(()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_and_the_report_is_bounded(line in "(\\PC{0,20}|bascule\\.[a-z]{0,7}=\\PC{0,90}| ){0,80}") {
            prop_assert!(Cmdline::parse(&line).ignored.len() <= IGNORED_MAX);
        }
    }
}
