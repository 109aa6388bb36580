//! What a verdict changes on the disk, and who hears of it.

use anyhow::Context as _;
use fleet_protocol::{Event, Health};

use super::{System, Told};
use crate::fleet::floor;
use crate::say;

/// All checks passed: the slot is confirmed, durably, before anyone is told.
pub(super) fn confirm(system: &mut System) -> anyhow::Result<Told> {
    let slot = system.info.slot;
    let name = system.info.image.clone();
    // True after every boot: the agent in the initramfs counts it. False when only this service started again.
    let news = system.record.state.preferred() != Some(slot) || system.record.unfinished_boots > 0;
    if news {
        let mut record = system.record.clone();
        record.state.confirm(slot)?;
        record.unfinished_boots = 0;
        // Only now: an earlier floor would lock out the slot to fall back to.
        if let Some((role, floor)) = floor::raise(&mut record) {
            say!("health: images of role {role} below release counter {floor} are refused from now on");
        }
        system.disk.save_record(&record).context("save the confirmation")?;
        system.record = record;
    }
    say!("health: all checks passed: slot {slot} with {name} is confirmed");
    if news && let Err(error) = system.disk.grub_prefer(slot) {
        let error = anyhow::Error::new(error);
        say!(
            "health: local boot loader still starts the other slot: {error:#}; a network boot starts slot {slot}"
        );
    }
    Ok(Told {
        event: Event::Confirmed,
        health: Health::Healthy,
        message: format!("{name} is healthy in slot {slot}"),
    })
}

/// Checks failed until the deadline: the reason is remembered, durably where that is possible. A trial ends with a restart,
/// which counts; a slot that was healthy once stays up.
pub(super) fn fail(system: &mut System, reason: &str) -> anyhow::Result<Told> {
    let slot = system.info.slot;
    let mut record = system.record.clone();
    record.state.fail(slot, reason)?;
    record.unfinished_boots = 0;
    if let Err(error) = system.disk.save_record(&record) {
        say!("health: save the reason: {:#}; the attempt counts without it", anyhow::Error::new(error));
    }
    system.record = record;
    if system.info.attempt.is_none() {
        say!(
            "health: {} in slot {slot} is confirmed but not healthy: {reason}; staying up",
            system.info.image
        );
    }
    Ok(Told { event: Event::Unhealthy, health: Health::Unhealthy, message: reason.to_owned() })
}
