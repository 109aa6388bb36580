//! Caps on open connections, in all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections.
#[derive(Debug)]
pub struct Gate {
    connections: usize,
    per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The cap on all connections is reached.
    #[error("all connections are in use")]
    Total,
    /// The cap on connections of one address is reached.
    #[error("too many connections from this address")]
    Address,
}

/// An admitted connection; leaving scope frees its place.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A gate with these caps.
    pub fn new(connections: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { connections, per_address, open: Mutex::default() })
    }

    /// Lets a connection from `address` in. An IPv4 address counts the same in its IPv6 spelling.
    ///
    /// # Errors
    /// [`Full`] says which cap is reached.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Pass, Full> {
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.connections {
            return Err(Full::Total);
        }
        let of_address = open.by_address.entry(address).or_default();
        if *of_address >= self.per_address {
            return Err(Full::Address);
        }
        *of_address += 1;
        open.total += 1;
        Ok(Pass { gate: self.clone(), address })
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_and_places_come_back() {
        let gate = Gate::new(3, 2);
        let (a, mapped, b): (IpAddr, IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = gate.enter(a).unwrap();
        let _second = gate.enter(mapped).unwrap();
        assert_eq!(gate.enter(a).unwrap_err(), Full::Address);
        let _third = gate.enter(b).unwrap();
        assert_eq!(gate.enter(b).unwrap_err(), Full::Total);
        drop(first);
        let _again = gate.enter(a).unwrap();
        assert_eq!(gate.open(), 3);
    }

    #[test]
    fn addresses_are_forgotten() {
        let gate = Gate::new(9, 9);
        drop(gate.enter("::1".parse().unwrap()).unwrap());
        assert_eq!((gate.open(), gate.open.lock().unwrap().by_address.len()), (0, 0));
    }
}
