//! Driving an exchange over a UDP socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::packet::{Lease, PACKET_MAX};
use crate::net::Mac;

/// No lease.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// The socket failed.
    #[error("DHCP: {operation}")]
    Socket {
        /// Receiving, setting a time limit.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// No server answered in time.
    #[error("DHCP: no lease after {} s and {sent} messages; {ignored} packets were not for this exchange", waited.as_secs())]
    NoAnswer {
        /// Time spent.
        waited: Duration,
        /// Messages sent.
        sent: u32,
        /// Packets received that did not count.
        ignored: u32,
    },
}

/// Runs an exchange over `socket` with the server or broadcast address `to`.
///
/// # Errors
/// No lease within `limit`, or the socket cannot receive. Failed sends are repeated like lost ones.
pub fn run(
    socket: &UdpSocket,
    to: SocketAddrV4,
    mac: Mac,
    random: u64,
    limit: Duration,
) -> Result<Lease, DhcpError> {
    let failed = |operation| move |source| DhcpError::Socket { operation, source };
    let start = Instant::now();
    let mut exchange = Exchange::new(mac, random);
    let mut buffer = [0; PACKET_MAX];
    let (mut sent, mut ignored) = (0, 0);
    loop {
        let now = start.elapsed();
        if now >= limit {
            return Err(DhcpError::NoAnswer { waited: limit, sent, ignored });
        }
        if let Some(message) = exchange.due(now) {
            let _lost = socket.send_to(&message, to);
            sent += 1;
        }
        let wait = exchange.next_at().min(limit).saturating_sub(now).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait)).map_err(failed("time limit of the socket"))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => match exchange.receive(&buffer[..length], start.elapsed()) {
                Some(lease) => return Ok(lease),
                None => ignored += 1,
            },
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(failed("receive")(error)),
        }
    }
}

/// Time-outs, interruptions, and errors of a link that is still coming up.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NetworkDown, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | NetworkDown | NetworkUnreachable | TimedOut | WouldBlock)
}

/// Where servers listen.
pub const SERVERS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);

/// Where clients listen.
pub const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{MAC, from_server};
    use super::*;

    fn pair() -> (UdpSocket, UdpSocket, SocketAddrV4) {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, server.local_addr().unwrap().port());
        (server, client, to)
    }

    #[test]
    fn a_server_between_hostile_packets_gives_a_lease() {
        let (server, client, to) = pair();
        let answers = std::thread::spawn(move || {
            let mut buffer = [0; PACKET_MAX];
            for kind in [2, 5] {
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let xid = u32::from_be_bytes(buffer[4..8].try_into().unwrap());
                server.send_to(b"", from).unwrap();
                server.send_to(&buffer[..length], from).unwrap();
                server.send_to(&from_server(kind, xid ^ 1, &[]), from).unwrap();
                server.send_to(&from_server(kind, xid, &[]), from).unwrap();
            }
        });
        let lease = run(&client, to, MAC, 7 << 32, Duration::from_secs(20)).unwrap();
        assert_eq!(lease.address, Ipv4Addr::new(10, 0, 2, 15));
        answers.join().unwrap();
    }

    #[test]
    fn silence_ends_at_the_limit() {
        let (_server, client, to) = pair();
        let error = run(&client, to, MAC, 7, Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, DhcpError::NoAnswer { sent: 1, ignored: 0, .. }), "{error}");
    }
}
