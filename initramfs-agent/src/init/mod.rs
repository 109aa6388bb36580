//! PID 1: from the kernel's hand-over to the booted system.
//!
//! ```text
//! early ─▶ command line ─▶ modules ─┬▶ network (a thread) ─┐
//!                                   └▶ disk, boot record ──┴▶ wish ─▶ decide ─▶ act ─▶ start
//! ```
//! A failure says on the console what, where, expected, found and what comes next. What cannot be mended here ends in a
//! restart after a minute: the network may bring a newer agent, the boot loader may find another way.

mod act;
mod early;
mod early_identity;
mod environment;
mod identity;
mod install;
mod link;
pub(crate) mod recover;
mod remember;
mod session;
mod start;
mod storage;

use std::convert::Infallible;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

pub use self::environment::Environment;
use crate::say;

/// Pause before the restart after a failure: long enough to read the message and to spare the server.
const RESTART_AFTER: Duration = Duration::from_secs(60);

/// Boots. Never returns: PID 1 must not end.
pub fn run() -> ! {
    if let Err(error) = early::prepare() {
        give_up(&error);
    }
    say!("imgagent {} starts", env!("CARGO_PKG_VERSION"));
    match Environment::read().and_then(|environment| boot(&environment)) {
        Ok(never) => match never {},
        Err(error) => give_up(&error),
    }
}

fn boot(environment: &Environment) -> anyhow::Result<Infallible> {
    let mut devices = environment.load_modules()?;
    // Who booted from the network knows the interface; else the record does.
    let early = environment.cmdline.mac.map(|mac| link::Link::start(environment, Some(mac)));
    let storage = storage::open(environment, &mut devices);
    let link = early.unwrap_or_else(|| link::Link::start(environment, storage.mac()));
    let mut session = session::Session::new(environment, storage, link, devices);
    session.refresh();
    act::act(&mut session)
}

fn give_up(error: &anyhow::Error) -> ! {
    say!("failed: {error:#}; restarting in {} s", RESTART_AFTER.as_secs());
    std::thread::sleep(RESTART_AFTER);
    rustix::fs::sync();
    loop {
        let _refused = reboot(RebootCommand::Restart);
        std::thread::sleep(RESTART_AFTER);
    }
}
