//! Makes the initramfs: the agent as `/init`, the trusted root, and kernel modules. Nothing else.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::cpio::Cpio;
use super::modules::Modules;

/// zstd: 19 costs a second once, and each boot transfers less; the kernel decompresses all levels alike.
const LEVEL: i32 = 19;
/// Where file systems are mounted before `/init` has made anything.
const DIRS: [&str; 9] = ["dev", "etc", "etc/bascule", "lib", "lib/modules", "proc", "run", "sys", "tmp"];

/// The compressed archive.
pub(crate) fn encode(
    agent: &[u8],
    root_json: &[u8],
    release: &str,
    modules: &Modules,
) -> anyhow::Result<Vec<u8>> {
    let module_dir = format!("lib/modules/{release}");
    let mut cpio = Cpio::default();
    DIRS.iter().for_each(|dir| cpio.dir(dir));
    // Until devtmpfs is mounted, this is all that the first line can be written to.
    cpio.char_device("dev/console", 5, 1);
    cpio.file("init", 0o755, agent);
    cpio.file("etc/bascule/root.json", 0o644, root_json);
    cpio.dir(&module_dir);
    for dir in directories(modules) {
        cpio.dir(&format!("{module_dir}/{dir}"));
    }
    for (file, bytes) in &modules.files {
        cpio.file(&format!("{module_dir}/{file}"), 0o644, bytes);
    }
    for (name, text) in
        [("modules.alias", &modules.alias), ("modules.dep", &modules.dep), ("modules.load", &modules.load)]
    {
        cpio.file(&format!("{module_dir}/{name}"), 0o644, text.as_bytes());
    }
    zstd::bulk::compress(&cpio.finish(), LEVEL).context("compress the initramfs")
}

/// All directories of the modules' files, outer ones first.
fn directories(modules: &Modules) -> BTreeSet<&str> {
    let mut dirs = BTreeSet::new();
    for file in modules.files.keys() {
        dirs.extend(file.match_indices('/').map(|(end, _)| &file[..end]));
    }
    dirs
}
