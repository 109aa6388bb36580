//! An emulator that stops: in software emulation a kernel now and then never gets its next timer interrupt while it starts.
//!
//! That is before the agent's first line, so nothing of ours runs yet. A machine whose kernel has been silent for a minute at
//! that point is reset, a few times at most; every reset stands in the console, and the sum in the report of the tests.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Console, Qmp};

/// A starting kernel prints several lines per second, emulated too.
const SILENCE: Duration = Duration::from_secs(60);

/// Most resets of one machine.
const RESETS_MAX: u32 = 3;

static RESETS: AtomicU32 = AtomicU32::new(0);

/// How many machines of this run had to be reset.
pub fn resets() -> u32 {
    RESETS.load(Ordering::Relaxed)
}

/// `, N resets of a frozen emulator`, or nothing.
pub fn text() -> String {
    match resets() {
        0 => String::new(),
        count => format!(", {count} resets of a frozen emulator"),
    }
}

/// Watches until the console closes.
pub(super) fn watch(console: Console, qmp: Arc<Mutex<Qmp>>) {
    thread::spawn(move || {
        for _ in 0..RESETS_MAX {
            if !console.wait_for_silent_kernel(SILENCE) {
                return;
            }
            console.add(&format!(
                "-- no line of the kernel for {SILENCE:?} before the agent started: the emulator is frozen, reset"
            ));
            RESETS.fetch_add(1, Ordering::Relaxed);
            if qmp.lock().unwrap_or_else(PoisonError::into_inner).command("system_reset").is_err() {
                return;
            }
        }
    });
}
