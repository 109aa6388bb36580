//! What a verdict changes on the disk, and who hears of it.

use anyhow::Context as _;
use fleet_protocol::{Event, Health};
use image_format::record::Record;
use image_format::state::SlotState;

use super::{System, reboot};
use crate::fleet::{trusted, wish};
use crate::say;

/// All checks passed: the slot is confirmed, durably, before anyone is told.
pub(super) fn confirm(system: &mut System) -> anyhow::Result<()> {
    let slot = system.info.slot;
    let name = system.info.image.clone();
    let was_confirmed = system.record.state.preferred() == Some(slot);
    if !was_confirmed {
        let mut record = system.record.clone();
        record.state.confirm(slot)?;
        raise_floor(&mut record);
        system.disk.save_record(&record).context("save the confirmation")?;
        system.record = record;
        say!("health: all checks passed: slot {slot} with {name} is confirmed");
        if let Err(error) = system.disk.grub_prefer(slot) {
            let error = anyhow::Error::new(error);
            say!(
                "health: local boot loader still starts the other slot: {error:#}; a network boot starts slot {slot}"
            );
        }
    }
    let message = format!("{name} is healthy in slot {slot}");
    system.report(Event::Confirmed, Health::Healthy, &message);
    Ok(())
}

/// The floor rises only now: an earlier one would lock out the slot to fall back to. Metadata that do not verify raise nothing.
fn raise_floor(record: &mut Record) {
    let Some(role) = record.state.preferred_image().map(|image| image.name.role.clone()) else { return };
    let client = record.trusted.as_ref().map(|text| signing::Client::offline(trusted::files(text)));
    if let Some(Ok(client)) = client {
        let floor = wish::floor(&client, &role);
        if record.raise_floor(&role, floor) {
            say!("health: images of role {role} below release counter {floor} are refused from now on");
        }
    }
}

/// Checks failed until the deadline. A trial ends with a restart, which counts; a slot that was healthy once stays up.
pub(super) fn fail(system: &mut System, reason: &str) -> anyhow::Result<()> {
    let slot = system.info.slot;
    let trial = matches!(system.record.state.slot(slot), SlotState::Trial { .. });
    let mut record = system.record.clone();
    record.state.fail(slot, reason)?;
    let saved = system.disk.save_record(&record).context("save the reason");
    system.record = record;
    if let Err(error) = saved {
        say!("health: {error:#}; the attempt counts without its reason");
    }
    system.report(Event::Unhealthy, Health::Unhealthy, reason);
    if trial {
        say!("health: {} failed in slot {slot}: {reason}; restarting", system.info.image);
        return Err(reboot::restart());
    }
    say!("health: {} in slot {slot} is confirmed but not healthy: {reason}; staying up", system.info.image);
    Ok(())
}
