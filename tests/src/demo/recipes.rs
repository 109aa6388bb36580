//! How `ha@2` and `ha@3` differ from `ha@1`, and the agent's lines that the stages look for.

use std::path::Path;

use anyhow::{Result, ensure};

use super::world::World;
use crate::edit;

/// The name of the check that fails in `ha@3`.
pub(super) const FAILING_CHECK: &str = "demo-always-fails";

/// How often `ha@3` is tried.
pub(super) const ATTEMPTS: usize = 2;

/// Printed by the agent when it begins to write an image to a slot.
pub(super) const INSTALL_LINE: &str = "install:";

/// Printed by the agent for each boot of an image that is not confirmed.
pub(super) const TRIAL_LINE: &str = "trial";

/// The agent's last line before the system starts.
pub(super) const SWITCH_LINE: &str = "switch_root";

/// Printed by systemd when the system is up.
pub(super) const UP_LINE: &str = "Reached target multi-user.target";

/// `ha@2`: one package more, one configuration file changed.
pub(super) fn second(images: &Path) -> Result<()> {
    edit::replace(&images.join("ha/recipe.toml"), "packages = [", "packages = [\n    \"tree\",")?;
    edit::append(&images.join("ha/overlay/etc/haproxy/haproxy.cfg"), "\n# Changed for ha@2.\n")
}

/// `ha@3`: as `ha@2`, with a health check that fails.
pub(super) fn third(images: &Path) -> Result<()> {
    let check = format!(
        "\n[[health.checks]]\nname = \"{FAILING_CHECK}\"\ntimeout_s = 5\nprobe = {{ command = [\"/bin/false\"] }}\n"
    );
    edit::append(&images.join("ha/recipe.toml"), &check)
}

/// `imgtool list` shows the image as pinned.
pub(super) fn check_listed(world: &World<'_>, image: &str) -> Result<()> {
    let (list, _) = world.repo.run(&["list"])?;
    ensure!(list.to_string().contains(image), "imgtool list: expected {image}, found {list}");
    Ok(())
}
