//! One line per step, with the time since the kernel started.
//!
//! A line goes to standard output, which init connects to the console, and to the kernel log at a level that the console
//! does not repeat; from there the booted system's journal takes it over.

use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Facility "user", level "debug": not shown on the console a second time.
const KMSG_PREFIX: &str = "<15>";

static KMSG: OnceLock<std::fs::File> = OnceLock::new();

/// Time since the kernel started.
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Copies every line to the kernel log from here on; where it cannot be opened, lines stay on the console alone.
pub fn copy_to_kernel_log() {
    if let Ok(file) = std::fs::OpenOptions::new().write(true).open("/dev/kmsg") {
        let _already_set = KMSG.set(file);
    }
}

/// Prints one line; use it by [`say!`](crate::say). A console that cannot be written must not stop the boot.
pub fn line(text: fmt::Arguments<'_>) {
    let now = uptime();
    let line = format!("bascule [{:3}.{:03}] {text}", now.as_secs(), now.subsec_millis());
    let _console_gone = writeln!(std::io::stdout().lock(), "{line}");
    if let Some(mut kmsg) = KMSG.get() {
        let _full = kmsg.write_all(format!("{KMSG_PREFIX}{line}\n").as_bytes());
    }
}

/// Prints one line on the console, formatted like `println!`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { $crate::console::line(format_args!($($part)*)) };
}

/// The most memory that this process has used, in KiB; none where the kernel does not tell.
pub fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
