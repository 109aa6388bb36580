//! The exchange without I/O: what to send when, and what an answer means.
//!
//! ```text
//! Selecting --offer--> Requesting --ack--> lease
//!     ^                    | nak, or four requests without an answer
//!     +--------------------+
//! ```
//! Every message is repeated after 1, 2, 4, 8, 8 … s (EDK2 and iPXE do the same), each changed by up to half a second so that
//! a room of machines that got power together spreads out.

use std::time::Duration;

use super::packet::{self, Lease, Reply};
use crate::net::Mac;

/// Requests for one offer before a new DISCOVER.
const REQUESTS_MAX: u32 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Selecting,
    Requesting(Lease),
}

/// One exchange. Times are since its start.
#[derive(Debug)]
pub struct Exchange {
    mac: Mac,
    xid: u32,
    state: State,
    tries: u32,
    next: Duration,
    jitter: u64,
}

impl Exchange {
    /// A new exchange; `random` gives the transaction id and the jitter.
    pub fn new(mac: Mac, random: u64) -> Self {
        let xid = u32::try_from(random >> 32).unwrap_or(1);
        Self { mac, xid, state: State::Selecting, tries: 0, next: Duration::ZERO, jitter: random | 1 }
    }

    /// When [`Self::due`] has something to send.
    pub fn next_at(&self) -> Duration {
        self.next
    }

    /// The message to send now, if it is time.
    pub fn due(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.next {
            return None;
        }
        if self.tries >= REQUESTS_MAX && matches!(self.state, State::Requesting(_)) {
            self.restart();
        }
        let pause = Duration::from_secs(1 << self.tries.min(3));
        self.tries += 1;
        self.next = now + pause + self.spread();
        let seconds = u16::try_from(now.as_secs()).unwrap_or(u16::MAX);
        Some(match &self.state {
            State::Selecting => packet::discover(self.xid, self.mac, seconds),
            State::Requesting(offer) => packet::request(self.xid, self.mac, seconds, offer),
        })
    }

    /// Takes a message; the lease when it is granted.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Option<Lease> {
        match (packet::parse(bytes, self.xid, self.mac)?, &self.state) {
            (Reply::Offer(lease), State::Selecting) => {
                self.state = State::Requesting(lease);
                self.tries = 0;
                self.next = now;
                None
            }
            (Reply::Ack(lease), State::Requesting(offer))
                if lease.server == offer.server && lease.address == offer.address =>
            {
                Some(lease)
            }
            (Reply::Nak(server), State::Requesting(offer)) if server == offer.server => {
                self.restart();
                self.next = now + Duration::from_secs(1);
                None
            }
            _ => None,
        }
    }

    fn restart(&mut self) {
        self.state = State::Selecting;
        self.tries = 0;
        self.xid = self.xid.wrapping_add(1);
    }

    /// 0 to 0.5 s.
    fn spread(&mut self) -> Duration {
        self.jitter =
            self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.jitter >> 33) % 500)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{MAC, from_server};
    use super::*;

    const RANDOM: u64 = 7 << 32;
    const SERVER_2: &[u8] = b"\x36\x04\x0a\0\x02\x09";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn kind(message: &[u8]) -> u8 {
        message[242]
    }

    #[test]
    fn discover_offer_request_ack() {
        let mut exchange = Exchange::new(MAC, RANDOM);
        assert_eq!(kind(&exchange.due(seconds(0)).unwrap()), 1);
        assert_eq!(exchange.due(seconds(0)), None);
        assert_eq!(exchange.receive(&from_server(2, 7, &[]), seconds(0)), None);
        assert_eq!(kind(&exchange.due(seconds(0)).unwrap()), 3);
        let lease = exchange.receive(&from_server(5, 7, &[]), seconds(0)).unwrap();
        assert_eq!(lease.address.octets(), [10, 0, 2, 15]);
    }

    #[test]
    fn silence_is_answered_by_slower_repetition() {
        let mut exchange = Exchange::new(MAC, RANDOM);
        let mut now = seconds(0);
        for pause in [1, 2, 4, 8, 8] {
            assert_eq!(kind(&exchange.due(now).unwrap()), 1);
            let next = exchange.next_at();
            assert!(next >= now + seconds(pause) && next < now + seconds(pause) + Duration::from_millis(500));
            now = next;
        }
    }

    #[test]
    fn a_refusal_starts_again_with_another_transaction() {
        let mut exchange = Exchange::new(MAC, RANDOM);
        exchange.due(seconds(0)).unwrap();
        exchange.receive(&from_server(2, 7, &[]), seconds(0));
        exchange.due(seconds(0)).unwrap();
        assert_eq!(exchange.receive(&from_server(6, 7, &[]), seconds(0)), None);
        assert_eq!(exchange.due(seconds(0)), None);
        assert_eq!(kind(&exchange.due(seconds(1)).unwrap()), 1);
        assert_eq!(exchange.receive(&from_server(2, 7, &[]), seconds(1)), None, "old transaction");
        assert_eq!(exchange.state, State::Selecting);
    }

    #[test]
    fn a_grant_without_a_request_or_from_another_server_is_ignored() {
        let mut exchange = Exchange::new(MAC, RANDOM);
        exchange.due(seconds(0)).unwrap();
        assert_eq!(exchange.receive(&from_server(5, 7, &[]), seconds(0)), None);
        exchange.receive(&from_server(2, 7, &[]), seconds(0));
        let mut other = from_server(5, 7, &[]);
        other.truncate(243);
        other.extend_from_slice(SERVER_2);
        assert_eq!(exchange.receive(&other, seconds(0)), None);
        assert!(exchange.receive(&from_server(5, 7, &[]), seconds(0)).is_some());
    }

    #[test]
    fn an_offer_whose_server_fell_silent_is_given_up() {
        let mut exchange = Exchange::new(MAC, RANDOM);
        exchange.due(seconds(0)).unwrap();
        exchange.receive(&from_server(2, 7, &[]), seconds(0));
        let mut kinds = Vec::new();
        for _ in 0..=REQUESTS_MAX {
            kinds.push(kind(&exchange.due(exchange.next_at()).unwrap()));
        }
        assert_eq!(kinds, [3, 3, 3, 3, 1]);
    }
}
