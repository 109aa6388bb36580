//! Room for descriptors: each connection takes one, and one more while it reads a file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Limits;

/// Descriptors beside the connections: listeners, database, runtime, uploads.
const OTHERS: u64 = 256;

/// Raises the soft limit on descriptors as far as the listeners can use it, and says so when the hard limit forbids it.
pub fn make_room(limits: &Limits, listeners: u64) {
    let wanted = limits.connections as u64 * 2 * listeners + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum });
    if raised.is_err() || possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            "the limit on open files is too low for all connections (ulimit -n)"
        );
    }
}
