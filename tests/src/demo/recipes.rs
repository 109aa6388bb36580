//! How `ha@2` and `ha@3` differ from `ha@1`, and the agent's lines that the stages look for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::world::{ROLE, World};
use crate::edit;

/// The configuration file that `ha@2` changes, as the overlay of `ha` has it.
const CHANGED_FILE: &str = "etc/haproxy/haproxy.cfg";

/// The name of the check that fails in `ha@3`.
pub(super) const FAILING_CHECK: &str = "demo-always-fails";

/// How often `ha@3` is tried.
pub(super) const ATTEMPTS: usize = 2;

/// Printed by the agent when it begins to write an image to a slot.
pub const INSTALL_LINE: &str = "decision: install";

/// Printed by the agent for each attempt to boot `ha@3`.
pub(super) const TRIAL_LINE: &str = "boot: booting ha@3 from slot";

/// The agent's last line before the system starts.
pub(super) const SWITCH_LINE: &str = "boot: switching to the system";

/// Printed by the health service when it begins: systemd has reached its basic target.
pub(super) const UP_LINE: &str = "health: ha@1 in slot A";

/// `ha@2`: one package more, one configuration file changed. The recipe extends the one before it, which moves aside.
pub(super) fn second(images: &Path) -> Result<()> {
    let (first, role) = (images.join("ha-first"), images.join(ROLE));
    fs::rename(&role, &first).with_context(|| format!("rename {}", role.display()))?;
    let config = role.join("overlay").join(CHANGED_FILE);
    fs::create_dir_all(config.parent().expect("a file below the overlay"))?;
    fs::copy(first.join("overlay").join(CHANGED_FILE), &config)
        .with_context(|| format!("copy {CHANGED_FILE}"))?;
    edit::append(&config, "\n# Changed for ha@2.\n")?;
    edit::write(&role.join("recipe.toml"), "extends = \"ha-first\"\npackages = [\"tree\"]\n")
}

/// `ha@3`: as `ha@2`, with a health check that fails.
pub(super) fn third(images: &Path) -> Result<()> {
    let health = format!(
        "\n[health]\nattempts = {ATTEMPTS}\ndeadline_s = 60\n\n[[health.checks]]\nname = \"{FAILING_CHECK}\"\n\
         timeout_s = 5\nprobe = {{ command = [\"/bin/false\"] }}\n"
    );
    edit::append(&images.join(ROLE).join("recipe.toml"), &health)
}

/// `imgtool list` shows the image as pinned.
pub(super) fn check_listed(world: &World<'_>, image: &str) -> Result<()> {
    let (list, _) = world.repo.run(&["list"])?;
    ensure!(list.to_string().contains(image), "imgtool list: expected {image}, found {list}");
    Ok(())
}
