//! Makes the role's root tree of the packages' tree.

use std::path::Path;

use anyhow::Context as _;
use image_format::Sha256;
use image_format::manifest::Package;
use image_format::manifest::provenance::AllowedSecret;

use super::contents::Contents;
use super::kernel::{self, Kernel};
use super::modules::{self, Modules};
use super::sbom::Parts;
use super::secrets::Shipped;
use super::tree::{Content, Kind, Node, Tree};
use super::{archive, files, overlay, packages, scrub, secrets, services};
use crate::recipe::Recipe;
use crate::ui::progress::Progress;

/// Where the agent lies in the booted system, for health checks and status.
const AGENT: &str = "usr/sbin/imgagent";

/// A finished root and what was taken out of it or found in it.
#[derive(Debug)]
pub(crate) struct Root {
    /// The tree.
    pub(crate) tree: Tree,
    /// Digests of its files.
    pub(crate) contents: Contents,
    /// The kernel, which is no longer in the tree.
    pub(crate) kernel: Kernel,
    /// Modules for the initramfs.
    pub(crate) modules: Modules,
    /// Installed packages and their licenses.
    pub(crate) parts: Parts,
    /// The compressed file list.
    pub(crate) files: Vec<u8>,
    /// Digest over the recipes and overlays that went into it.
    pub(crate) recipe: Sha256,
    /// Secrets that the recipe allows.
    pub(crate) allowed: Vec<AllowedSecret>,
}

impl Root {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let len =
            |(_, node): (&str, &Node)| if let Kind::File(content) = &node.kind { content.len() } else { 0 };
        self.tree.iter().map(len).sum()
    }

    /// The packages as the manifest lists them.
    pub(crate) fn packages(&self) -> Vec<Package> {
        self.parts.installed().iter().map(|installed| installed.package.clone()).collect()
    }
}

/// Reads the `archive` and applies the recipe.
pub(crate) fn customise(
    recipe: &Recipe,
    archive: &Path,
    agent: &[u8],
    progress: &Progress,
) -> anyhow::Result<Root> {
    progress.message("reading the packages' files");
    let mut tree = archive::read(archive, recipe.epoch)?;
    let kernel = kernel::find(&tree)?;
    let modules = modules::pick(&tree, &kernel, &recipe.kernel.drivers).context("kernel.drivers")?;
    let parts = Parts::of(&tree, packages::list(&tree)?)?;
    let shipped = Shipped::of(&tree);
    scrub::scrub(&mut tree, &recipe.remove)?;
    let mut made_of: String =
        recipe.files.iter().map(|(role, digest)| format!("recipe {role} {digest}\n")).collect();
    for dir in &recipe.overlays {
        made_of += "overlay\n";
        made_of += &overlay::apply(&mut tree, dir, recipe.epoch)?;
    }
    let agent = Node::new(Kind::File(Content::Bytes(agent.into())), 0o755, recipe.epoch);
    tree.insert(&tree.resolve(AGENT)?, agent)?;
    services::apply(&mut tree, &recipe.services, recipe.epoch)?;
    progress.message("looking for secrets");
    let allowed = secrets::refuse(&tree, &shipped, &recipe.allow_secrets)?;
    progress.message("digesting files");
    let contents = Contents::of(&tree)?;
    let files = files::encode(&tree, &contents)?;
    let recipe = Sha256::of(made_of.as_bytes());
    Ok(Root { tree, contents, kernel, modules, parts, files, recipe, allowed })
}

#[cfg(test)]
mod tests;
