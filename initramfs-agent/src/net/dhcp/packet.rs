//! DHCP messages: what is sent, and a reader for whatever comes back.

use std::net::Ipv4Addr;

use crate::net::Mac;

/// Fixed part of a message (RFC 2131, section 2) with the magic cookie.
const FIXED: usize = 240;

/// Magic cookie before the options (RFC 2132, section 2).
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Smallest message sent: some servers and relays drop shorter ones, the length of BOOTP.
const SEND_MIN: usize = 300;

/// Largest message looked at, in bytes: one Ethernet frame.
pub const PACKET_MAX: usize = 1500;

/// Most name servers taken from a lease.
const DNS_MAX: usize = 3;

const MASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN: u8 = 15;
const BROADCAST: u8 = 28;
const REQUESTED: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const CLIENT_ID: u8 = 61;
const END: u8 = 255;

/// Message types (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: who has an address for me?
    Discover,
    /// Server: I have.
    Offer,
    /// Client: I take it.
    Request,
    /// Server: it is yours.
    Ack,
    /// Server: it is not.
    Nak,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Ack => 5,
            Self::Nak => 6,
        }
    }
}

/// What a server offers or grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The node's address.
    pub address: Ipv4Addr,
    /// Length of the network prefix.
    pub prefix: u8,
    /// Default gateway (option 3, the first).
    pub gateway: Option<Ipv4Addr>,
    /// Name servers (option 6), at most three.
    pub dns: Vec<Ipv4Addr>,
    /// Domain (option 15), if it is a plausible name.
    pub domain: Option<String>,
    /// Seconds the address is granted for (option 51).
    pub seconds: u32,
    /// The server that granted it (option 54).
    pub server: Ipv4Addr,
}

/// A message from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An offer.
    Offer(Lease),
    /// A grant.
    Ack(Lease),
    /// A refusal by this server.
    Nak(Ipv4Addr),
}

/// A DISCOVER.
pub fn discover(xid: u32, mac: Mac, seconds: u16) -> Vec<u8> {
    message(Kind::Discover, xid, mac, seconds, &[])
}

/// A REQUEST for what was offered.
pub fn request(xid: u32, mac: Mac, seconds: u16, offer: &Lease) -> Vec<u8> {
    let options = [(REQUESTED, offer.address.octets()), (SERVER, offer.server.octets())];
    message(Kind::Request, xid, mac, seconds, &options)
}

fn message(kind: Kind, xid: u32, mac: Mac, seconds: u16, options: &[(u8, [u8; 4])]) -> Vec<u8> {
    let mut out = vec![0; FIXED];
    // BOOTREQUEST, Ethernet, six bytes of address.
    out[..3].copy_from_slice(&[1, 1, 6]);
    out[4..8].copy_from_slice(&xid.to_be_bytes());
    out[8..10].copy_from_slice(&seconds.to_be_bytes());
    // Broadcast flag: without an address of our own, unicast answers would be dropped by the kernel.
    out[10] = 0x80;
    out[28..34].copy_from_slice(&mac.0);
    out[236..240].copy_from_slice(&COOKIE);
    out.extend_from_slice(&[KIND, 1, kind.code()]);
    // The same client id as iPXE sends, so that both get one lease: hardware type and address.
    out.extend_from_slice(&[CLIENT_ID, 7, 1]);
    out.extend_from_slice(&mac.0);
    for (code, value) in options {
        out.extend_from_slice(&[*code, 4]);
        out.extend_from_slice(value);
    }
    let parameters = [MASK, ROUTER, DNS, HOST_NAME, DOMAIN, BROADCAST, LEASE_TIME, SERVER];
    out.extend_from_slice(&[PARAMETERS, 8]);
    out.extend_from_slice(&parameters);
    out.push(END);
    out.resize(out.len().max(SEND_MIN), 0);
    out
}

/// Reads a message for this exchange. None: not a DHCP answer, for somebody else, or without what an answer must have.
pub fn parse(bytes: &[u8], xid: u32, mac: Mac) -> Option<Reply> {
    let fixed = bytes.get(..FIXED).filter(|_| bytes.len() <= PACKET_MAX)?;
    let answers_us = fixed[0] == 2
        && fixed[1..3] == [1, 6]
        && fixed[4..8] == xid.to_be_bytes()
        && fixed[28..34] == mac.0
        && fixed[236..240] == COOKIE;
    if !answers_us {
        return None;
    }
    let options = &bytes[FIXED..];
    let server = address(options, SERVER)?;
    let lease = || {
        let address = Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]);
        let usable = !address.is_unspecified()
            && !address.is_multicast()
            && !address.is_broadcast()
            && !address.is_loopback();
        let prefix = match option(options, MASK) {
            Some(_) => prefix_of(address_or_none(options, MASK)?)?,
            None => class_prefix(address),
        };
        usable.then(|| Lease {
            address,
            prefix,
            gateway: addresses(options, ROUTER).next().filter(|gateway| !gateway.is_unspecified()),
            dns: addresses(options, DNS).take(DNS_MAX).collect(),
            domain: option(options, DOMAIN).and_then(domain),
            seconds: option(options, LEASE_TIME)
                .and_then(|value| value.try_into().ok())
                .map_or(0, u32::from_be_bytes),
            server,
        })
    };
    match *option(options, KIND)? {
        [2] => lease().map(Reply::Offer),
        [5] => lease().map(Reply::Ack),
        [6] => Some(Reply::Nak(server)),
        _ => None,
    }
}

/// The value of the first option `code`; none when it is absent or runs over the end.
fn option(mut rest: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        match *rest.first()? {
            0 => rest = &rest[1..],
            END => return None,
            found => {
                let length = usize::from(*rest.get(1)?);
                let value = rest.get(2..2 + length)?;
                if found == code {
                    return Some(value);
                }
                rest = &rest[2 + length..];
            }
        }
    }
}

fn addresses(options: &[u8], code: u8) -> impl Iterator<Item = Ipv4Addr> {
    option(options, code)
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|part| Ipv4Addr::new(part[0], part[1], part[2], part[3]))
}

fn address(options: &[u8], code: u8) -> Option<Ipv4Addr> {
    addresses(options, code).next()
}

fn address_or_none(options: &[u8], code: u8) -> Option<Ipv4Addr> {
    address(options, code).filter(|_| option(options, code).is_some_and(|value| value.len() == 4))
}

/// The length of a mask without gaps, 1 to 32.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (ones > 0 && bits.count_ones() == ones).then(|| u8::try_from(ones).unwrap_or(32))
}

/// Without a mask, the network is that of the address class (RFC 2132, section 3.3 leaves no better choice).
fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

/// A domain that can stand in `resolv.conf`; anything else would be an injection into that file.
fn domain(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let valid = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    valid.then(|| text.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    /// A server's message: `kind` to `xid` with the given options behind the server id.
    pub(crate) fn from_server(kind: u8, xid: u32, options: &[u8]) -> Vec<u8> {
        let mut bytes = discover(xid, MAC, 0);
        bytes.truncate(FIXED);
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes.extend_from_slice(&[KIND, 1, kind, SERVER, 4, 10, 0, 2, 2]);
        bytes.extend_from_slice(options);
        bytes.push(END);
        bytes
    }

    fn lease() -> Lease {
        Lease {
            address: Ipv4Addr::new(10, 0, 2, 15),
            prefix: 24,
            gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
            dns: vec![Ipv4Addr::new(10, 0, 2, 3)],
            domain: Some("lan.example".to_owned()),
            seconds: 86400,
            server: Ipv4Addr::new(10, 0, 2, 2),
        }
    }

    const OPTIONS: &[u8] =
        b"\x01\x04\xff\xff\xff\0\x03\x04\x0a\0\x02\x02\x06\x04\x0a\0\x02\x03\x0f\x0blan.example\x33\x04\0\x01\x51\x80\0\0";

    #[test]
    fn an_offer_is_read() {
        assert_eq!(parse(&from_server(2, 7, OPTIONS), 7, MAC), Some(Reply::Offer(lease())));
        assert_eq!(parse(&from_server(5, 7, OPTIONS), 7, MAC), Some(Reply::Ack(lease())));
        assert_eq!(parse(&from_server(6, 7, &[]), 7, MAC), Some(Reply::Nak(Ipv4Addr::new(10, 0, 2, 2))));
    }

    #[test]
    fn answers_to_others_are_ignored() {
        let offer = from_server(2, 7, OPTIONS);
        assert_eq!(parse(&offer, 8, MAC), None);
        assert_eq!(parse(&offer, 7, Mac([0; 6])), None);
        assert_eq!(parse(&discover(7, MAC, 0), 7, MAC), None);
    }

    #[test]
    fn what_is_not_plausible_is_refused() {
        let gap = b"\x01\x04\xff\0\xff\0";
        assert_eq!(parse(&from_server(2, 7, gap), 7, MAC), None);
        assert_eq!(parse(&from_server(2, 7, b"\x01\x03\xff\xff\xff"), 7, MAC), None);
        let mut no_address = from_server(2, 7, OPTIONS);
        no_address[16..20].copy_from_slice(&[0; 4]);
        assert_eq!(parse(&no_address, 7, MAC), None);
        let injected = parse(&from_server(2, 7, b"\x0f\x05a\nb c"), 7, MAC);
        assert!(
            matches!(injected, Some(Reply::Offer(Lease { domain: None, prefix: 8, .. }))),
            "{injected:?}"
        );
    }

    #[test]
    fn a_request_names_address_and_server() {
        let bytes = request(7, MAC, 3, &lease());
        let options = &bytes[FIXED..];
        assert_eq!(option(options, KIND), Some(&[3][..]));
        assert_eq!(option(options, REQUESTED), Some(&[10, 0, 2, 15][..]));
        assert_eq!(option(options, SERVER), Some(&[10, 0, 2, 2][..]));
        assert_eq!((bytes[8..10].to_vec(), bytes[10]), (vec![0, 3], 0x80));
        assert!(bytes.len() >= SEND_MIN);
    }

    proptest! {
        #[test]
        fn no_packet_panics(
            options in proptest::collection::vec(any::<u8>(), 0..300),
            flip in any::<(u8, u8)>(),
            cut in 0_usize..600,
        ) {
            let mut bytes = from_server(2, 7, &options);
            let at = usize::from(flip.0) % bytes.len();
            bytes[at] ^= flip.1;
            bytes.truncate(cut);
            if let Some(Reply::Offer(lease) | Reply::Ack(lease)) = parse(&bytes, 7, MAC) {
                prop_assert!((1..=32).contains(&lease.prefix) && lease.dns.len() <= DNS_MAX);
            }
        }
    }
}
