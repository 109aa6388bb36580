//! Which modules there are, where they lie and what they need: `modules.dep`.

use std::collections::{BTreeMap, BTreeSet};

/// Modules by name (`-` and `_` are the same), with their files relative to the module directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    modules: BTreeMap<String, Module>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Module {
    file: String,
    needs: Vec<String>,
}

impl Catalog {
    /// Reads `modules.dep`: lines `FILE.ko: FILE.ko …`, the first needs the others. Lines that are not of this form, and
    /// files that would lie outside of the module directory, are skipped.
    pub fn parse(text: &str) -> Self {
        let mut modules = BTreeMap::new();
        for line in text.lines() {
            let Some((file, needs)) = line.split_once(':') else { continue };
            let Some(name) = name_of(file) else { continue };
            // depmod lists the innermost dependency last.
            let needs = needs.split_ascii_whitespace().rev().filter_map(name_of).collect();
            modules.insert(name, Module { file: file.to_owned(), needs });
        }
        Self { modules }
    }

    /// Files to load for `name`, dependencies first; empty when there is no such module. A circle of dependencies is cut.
    pub fn load_order(&self, name: &str) -> Vec<(&str, &str)> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        self.visit(&name.replace('-', "_"), &mut seen, &mut order);
        order
    }

    /// Recursion is bounded by the number of modules: each is entered once.
    fn visit<'a>(&'a self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<(&'a str, &'a str)>) {
        let Some((name, module)) = self.modules.get_key_value(name) else { return };
        if !seen.insert(name) {
            return;
        }
        for needed in &module.needs {
            self.visit(needed, seen, order);
        }
        order.push((name, &module.file));
    }
}

fn name_of(file: &str) -> Option<String> {
    let safe = !file.starts_with('/') && file.split('/').all(|part| !part.is_empty() && part != "..");
    let stem = file.rsplit('/').next()?.strip_suffix(".ko")?;
    (safe && !stem.is_empty()).then(|| stem.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko\n\
        kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko\n\
        kernel/net/core/failover.ko:\n\
        kernel/drivers/md/dm-mod.ko:\n";

    #[test]
    fn dependencies_come_first() {
        let catalog = Catalog::parse(DEP);
        let names: Vec<_> = catalog.load_order("virtio-net").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["failover", "net_failover", "virtio_net"]);
        assert_eq!(catalog.load_order("dm_mod"), [("dm_mod", "kernel/drivers/md/dm-mod.ko")]);
        assert_eq!(catalog.load_order("nothing"), []);
    }

    #[test]
    fn direct_dependencies_alone_are_enough() {
        let catalog = Catalog::parse("a.ko: b.ko\nb.ko: c.ko\nc.ko:\n");
        let files: Vec<_> = catalog.load_order("a").into_iter().map(|(_, file)| file).collect();
        assert_eq!(files, ["c.ko", "b.ko", "a.ko"]);
    }

    #[test]
    fn circles_and_strange_lines_do_no_harm() {
        let catalog = Catalog::parse("a.ko: b.ko\nb.ko: a.ko\n../x.ko:\n/y.ko:\nnot a line\n.ko:\nz.txt:\n");
        let names: Vec<_> = catalog.load_order("a").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
        for name in ["x", "y", "", "z"] {
            assert_eq!(catalog.load_order(name), [], "{name}");
        }
    }
}
