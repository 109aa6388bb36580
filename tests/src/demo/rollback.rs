//! `ha@3` has a health check that fails: the node tries it, goes back to `ha@2`, and does not try it again.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::world::{BOOT_LIMIT, GROUP, World};
use super::{measure, recipes};
use crate::fleet::Node;

/// All attempts of a failing image, and the boot of the other slot.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(4 * BOOT_LIMIT.as_secs());

pub(super) fn run(world: &mut World<'_>) -> Result<String> {
    recipes::third(world.repo.images())?;
    world.ship("3")?;
    world.repo.pin(GROUP, "ha@3")?;

    let (mark, _) = world.reset_node()?;
    let back = |node: &Node| node.runs("ha@2", "b") && node.quarantine("ha@3").is_some();
    let node = world.wait_node("ha@3 rolled back to ha@2", ROLLBACK_LIMIT, back, |node| {
        node.runs("ha@3", "a").then(|| "ha@3 was confirmed, although its health check fails".to_owned())
    })?;
    let why = node.quarantine("ha@3").unwrap_or_default().to_owned();
    ensure!(
        why.contains(recipes::FAILING_CHECK),
        "the reason of the quarantine: expected the failed check, found {why:?}"
    );
    ensure!(node.pinned() == "ha@3", "the pin still names ha@3, found {}", node.pinned());
    let tries =
        world.console()?.lines(mark).iter().filter(|line| line.text.contains(recipes::TRIAL_LINE)).count();
    ensure!(tries == recipes::ATTEMPTS, "boots of ha@3: expected {}, found {tries}", recipes::ATTEMPTS);

    not_again(world)?;
    Ok(format!("{tries} attempts; the server says why: {why}"))
}

/// One more restart: the image is still pinned, and the node leaves it alone.
fn not_again(world: &mut World<'_>) -> Result<()> {
    let (mark, before) = world.reset_node()?;
    world.wait_node(
        "ha@2 again after one more restart",
        BOOT_LIMIT,
        |node| {
            let news = node.events_since(&before);
            node.runs("ha@2", "b") && news.iter().any(|event| event.event == "confirmed")
        },
        |_| None,
    )?;
    measure::agent(world, "restart without change", mark)?;
    let console = world.console()?;
    let tried = console.lines(mark).into_iter().find(|line| line.text.contains(recipes::INSTALL_LINE));
    ensure!(tried.is_none(), "the node installed again: {:?}", tried.map(|line| line.text));
    Ok(())
}
