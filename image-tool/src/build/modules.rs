//! Which kernel modules the initramfs carries: those that every node needs, the role's drivers, and what these depend on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

use super::kernel::Kernel;
use super::tree::{Tree, join};

/// What the way from initramfs to root needs on every node: verified block device, root, overlay, state, network packets.
const ALWAYS: [&str; 5] = ["dm_verity", "erofs", "overlay", "ext4", "af_packet"];
/// Checksums that these ask the kernel for by name, which without modprobe must be there before. Kernels that have them
/// built in have no such modules.
const ALGORITHMS: [&str; 2] = ["crc32c_generic", "sha256_generic"];
/// The same by instructions of the processor; loaded by their aliases where they fit.
const FAST_ALGORITHMS: [&str; 2] = ["crc32c_intel", "sha256_ssse3"];

/// The modules of an initramfs.
#[derive(Debug)]
pub(crate) struct Modules {
    /// Files below the module directory, with their bytes.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// `modules.dep` of these files.
    pub(crate) dep: String,
    /// `modules.alias` of these modules.
    pub(crate) alias: String,
    /// Names of modules to load on every node, one a line, in this order. Drivers with aliases come by their devices.
    pub(crate) load: String,
}

/// Picks the modules for `drivers`.
pub(crate) fn pick(tree: &Tree, kernel: &Kernel, drivers: &[String]) -> anyhow::Result<Modules> {
    let text = |name: &str| {
        let path = join(&kernel.modules, name);
        tree.read_text(&path)?.with_context(|| format!("the root tree has no /{path}"))
    };
    let (dep, builtin) = (text("modules.dep")?, text("modules.builtin")?);
    let closure = Closure::of(&dep, &builtin, &kernel.release, drivers)?;
    let mut files = BTreeMap::new();
    for file in &closure.files {
        let path = join(&kernel.modules, file);
        let bytes = tree.read_file(&path)?.with_context(|| format!("the root tree has no /{path}"))?;
        files.insert((*file).to_owned(), bytes);
    }
    let aliases = text("modules.alias")?;
    Ok(Modules { files, dep: closure.dep(), alias: closure.aliases(&aliases), load: closure.load() })
}

/// The modules needed and what `modules.dep` says about them.
struct Closure<'t> {
    dep: BTreeMap<&'t str, Vec<&'t str>>,
    files: BTreeSet<&'t str>,
    names: BTreeSet<String>,
    load: Vec<&'static str>,
}

impl<'t> Closure<'t> {
    fn of(dep: &'t str, builtin: &'t str, release: &str, drivers: &[String]) -> anyhow::Result<Self> {
        let dep: BTreeMap<&str, Vec<&str>> = dep
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| (file, needs.split_ascii_whitespace().collect()))
            .collect();
        let by_name: BTreeMap<String, &str> = dep.keys().map(|file| (module_name(file), *file)).collect();
        let builtin: BTreeSet<String> = builtin.lines().map(module_name).collect();

        let mut closure = Self { dep, files: BTreeSet::new(), names: BTreeSet::new(), load: Vec::new() };
        let mut unknown = Vec::new();
        for name in ALGORITHMS.iter().chain(&FAST_ALGORITHMS) {
            if let Some(file) = by_name.get(&name.replace('-', "_")) {
                closure.add(file)?;
                closure.load.extend(ALGORITHMS.iter().find(|algorithm| *algorithm == name));
            }
        }
        for name in ALWAYS.iter().copied().chain(drivers.iter().map(String::as_str)) {
            let normal = name.replace('-', "_");
            match by_name.get(&normal) {
                Some(file) => closure.add(file)?,
                None if builtin.contains(&normal) => continue,
                None => unknown.push(name),
            }
            closure.load.extend(ALWAYS.iter().find(|always| **always == normal));
        }
        if !unknown.is_empty() {
            bail!("kernel {release} has no module {}", unknown.join(", "));
        }
        Ok(closure)
    }

    fn add(&mut self, file: &'t str) -> anyhow::Result<()> {
        if !file.ends_with(".ko") {
            bail!("module {file}: expected an uncompressed .ko file");
        }
        if self.files.insert(file) {
            self.names.insert(module_name(file));
            for needed in self.dep.get(file).cloned().unwrap_or_default() {
                self.add(needed)?;
            }
        }
        Ok(())
    }

    fn dep(&self) -> String {
        let line = |file: &&str| format!("{file}: {}\n", self.dep[*file].join(" "));
        self.files.iter().map(line).collect()
    }

    fn aliases(&self, all: &str) -> String {
        let ours = |line: &&str| {
            line.starts_with("alias ")
                && line
                    .rsplit(' ')
                    .next()
                    .is_some_and(|module| self.names.contains(&module.replace('-', "_")))
        };
        all.lines().filter(ours).flat_map(|line| [line, "\n"]).collect()
    }

    fn load(&self) -> String {
        self.load.iter().flat_map(|name| [*name, "\n"]).collect()
    }
}

/// `kernel/drivers/md/dm-verity.ko` → `dm_verity`.
fn module_name(file: &str) -> String {
    let name = super::tree::split(file).1;
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/md/dm-verity.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko\n\
        kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko\nkernel/md/dm-mod.ko:\nkernel/erofs.ko: kernel/crc.ko\nkernel/crc.ko:\n\
        kernel/overlay.ko:\nkernel/virtio_net.ko: kernel/virtio.ko\nkernel/virtio.ko:\nkernel/e1000.ko:\n";
    const BUILTIN: &str = "kernel/fs/ext4/ext4.ko\nkernel/net/packet/af_packet.ko\n";

    fn closure(drivers: &[&str]) -> anyhow::Result<Closure<'static>> {
        let drivers: Vec<String> = drivers.iter().map(|driver| (*driver).to_owned()).collect();
        Closure::of(DEP, BUILTIN, "6.1", &drivers)
    }

    #[test]
    fn dependencies_come_along_and_others_do_not() {
        let closure = closure(&["virtio-net"]).unwrap();
        let names: Vec<&str> = closure.names.iter().map(String::as_str).collect();
        assert_eq!(
            names,
            ["crc", "dm_bufio", "dm_mod", "dm_verity", "erofs", "overlay", "virtio", "virtio_net"]
        );
        assert_eq!(closure.load(), "dm_verity\nerofs\noverlay\n");
        assert!(
            closure.dep().contains("kernel/md/dm-verity.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko\n")
        );
        let aliases = "# x\nalias virtio:d1 virtio_net\nalias pci:v8086 e1000\nalias fs-erofs erofs\n";
        assert_eq!(closure.aliases(aliases), "alias virtio:d1 virtio_net\nalias fs-erofs erofs\n");
    }

    #[test]
    fn checksums_come_first_where_they_are_modules() {
        let dep = format!("{DEP}kernel/crypto/crc32c_generic.ko:\nkernel/arch/crc32c-intel.ko:\n");
        let closure = Closure::of(&dep, BUILTIN, "6.1", &[]).unwrap();
        assert_eq!(closure.load(), "crc32c_generic\ndm_verity\nerofs\noverlay\n");
        assert!(closure.names.contains("crc32c_intel"));
    }

    #[test]
    fn unknown_drivers_are_named() {
        let error = closure(&["virtio_net", "nonsense", "tg3"]).err().unwrap().to_string();
        assert_eq!(error, "kernel 6.1 has no module nonsense, tg3");
    }
}
