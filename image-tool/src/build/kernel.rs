//! Finds the kernel in the root tree.

use anyhow::{Context as _, bail};

use super::tree::{Kind, Tree, join};

/// Where modules are.
const MODULES: &str = "usr/lib/modules";

/// A kernel with its modules.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What `uname -r` prints.
    pub(crate) release: String,
    /// The kernel file.
    pub(crate) image: Vec<u8>,
    /// Path of its modules in the tree.
    pub(crate) modules: String,
}

/// The one kernel of `tree`.
pub(crate) fn find(tree: &Tree) -> anyhow::Result<Kernel> {
    let modules = tree.resolve(MODULES)?;
    let releases: Vec<&str> = tree
        .children("boot")
        .filter(|(_, node)| matches!(node.kind, Kind::File(_)))
        .filter_map(|(name, _)| name.strip_prefix("vmlinuz-"))
        .collect();
    let release = match releases.as_slice() {
        [release] => (*release).to_owned(),
        [] => bail!("the root tree has no /boot/vmlinuz-*: kernel.package installed no kernel"),
        more => bail!("the root tree has more than one kernel: {}", more.join(", ")),
    };
    let image = tree.read_file(&format!("boot/vmlinuz-{release}"))?.context("the kernel is not a file")?;
    let modules = join(&modules, &release);
    if tree.get(&modules).is_none() {
        bail!("the root tree has a kernel {release}, and no modules in /{modules}");
    }
    Ok(Kernel { release, image, modules })
}
