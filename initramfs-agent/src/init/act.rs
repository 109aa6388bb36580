//! Doing what was decided, until something boots.

use std::convert::Infallible;

use anyhow::bail;
use fleet_protocol::{Event, Health};
use image_format::Slot;
use image_format::state::{Arrival, Decision, Wanted, decide};

use super::remember::change;
use super::session::Session;
use super::{install, start};
use crate::say;

/// Most steps of one boot: two roll-backs, a flip, an installation, damage of both slots, and the boot itself are seven.
const STEPS_MAX: usize = 12;

/// Decides and acts. Returns only when nothing can be booted.
///
/// # Errors
/// Why nothing boots.
pub(super) fn act(session: &mut Session<'_>) -> anyhow::Result<Infallible> {
    let mut wanted = session.wanted();
    if session.disk.is_none() {
        install::lay_out(session).inspect_err(|error| failed(session, error))?;
    }
    let mut arrival = session.arrival();
    for _ in 0..STEPS_MAX {
        let decision = decide(&session.record, wanted.as_ref(), arrival);
        // A kexec that arrived is one step; whatever follows is decided anew.
        arrival = Arrival::Firmware;
        match decision {
            Decision::Continue { slot } => {
                change(session, |state| state.arrived(slot).map(drop))?;
                let attempt = session.record.state.attempt(slot);
                start::start(session, slot, start::Count::Counted(attempt), None)?;
            }
            Decision::Boot { slot, trial, note } => {
                let kind = if trial { "on trial" } else { "confirmed" };
                say!("decision: boot slot {slot} ({kind})");
                start::start(session, slot, start::Count::Now, note.as_ref())?;
            }
            Decision::Install { slot, image } => {
                say!("decision: install {} into slot {slot}", image.name);
                if let Err(error) = install::install(session, slot) {
                    failed(session, &error);
                    say!("install: {error:#}; booting what there is");
                    wanted = None;
                }
            }
            Decision::FlipTo { slot } => {
                let attempts = wanted.as_ref().map_or(1, |wanted: &Wanted| wanted.attempts);
                say!("decision: slot {slot} still holds the wanted image: trying it, nothing to download");
                change(session, |state| state.flip(slot, attempts))?;
            }
            Decision::RollBack { slot } => roll_back(session, slot)?,
            Decision::Nothing { note } => {
                let reason = session.no_wish.clone().unwrap_or_default();
                bail!("nothing to boot: {note}{}{reason}", if reason.is_empty() { "" } else { ": " });
            }
        }
    }
    bail!("no boot after {STEPS_MAX} steps: {}", super::recover::describe(&session.record.state))
}

fn failed(session: &mut Session<'_>, error: &anyhow::Error) {
    session.report(Event::Failed, Health::Pending, &format!("{error:#}"));
}

fn roll_back(session: &mut Session<'_>, slot: Slot) -> anyhow::Result<()> {
    let mut entry = None;
    change(session, |state| state.roll_back(slot).map(|rolled_back| entry = Some(rolled_back)))?;
    let Some(entry) = entry else { return Ok(()) };
    let message = format!(
        "{} in slot {slot} was rolled back and is not tried again here: {}",
        entry.image.name, entry.reason
    );
    say!("decision: {message}");
    session.report(Event::RolledBack, Health::Unhealthy, &message);
    Ok(())
}
