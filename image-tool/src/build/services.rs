//! Enables, disables and masks systemd units, as `systemctl --root` would, by their `[Install]` sections.

use anyhow::{Context as _, bail};

use super::tree::{Kind, Node, Tree, join, split};
use crate::recipe::Services;

/// Where the admin's choices are, as links.
const ETC: &str = "etc/systemd/system";
/// Where units are, the first found counts.
const UNIT_DIRS: [&str; 3] = [ETC, "usr/lib/systemd/system", "lib/systemd/system"];

/// Applies `services` to `tree`.
pub(crate) fn apply(tree: &mut Tree, services: &Services, epoch: u64) -> anyhow::Result<()> {
    tree.make_dirs(ETC, epoch)?;
    for unit in &services.disable {
        disable(tree, unit);
    }
    for unit in &services.enable {
        enable(tree, unit, epoch).with_context(|| format!("services.enable: {unit}"))?;
    }
    for unit in &services.mask {
        disable(tree, unit);
        tree.remove(&join(ETC, unit));
        link(tree, &join(ETC, unit), "/dev/null", epoch)?;
    }
    Ok(())
}

/// Removes every link to `unit` among the admin's choices, and its other names.
fn disable(tree: &mut Tree, unit: &str) {
    let is_choice = |path: &str, node: &Node| {
        let Kind::Symlink(target) = &node.kind else { return false };
        let (dir, name) = split(path);
        let wanted = (dir.ends_with(".wants") || dir.ends_with(".requires")) && name == unit;
        let alias = dir == ETC && name != unit && split(target).1 == unit;
        wanted || alias
    };
    let links: Vec<String> = tree
        .below(ETC)
        .filter(|(path, node)| is_choice(path, node))
        .map(|(path, _)| path.to_owned())
        .collect();
    for path in links {
        tree.remove(&path);
    }
}

fn enable(tree: &mut Tree, unit: &str, epoch: u64) -> anyhow::Result<()> {
    // Of `getty@tty2.service`, the file is `getty@.service`.
    let file_name = match unit.split_once('@').zip(unit.rsplit_once('.')) {
        Some(((template, _), (_, suffix))) => format!("{template}@.{suffix}"),
        None => unit.to_owned(),
    };
    let Some((file, text)) = find(tree, &file_name)? else {
        bail!("the root tree has no unit file {file_name}");
    };
    let install = Install::parse(&text);
    if install.wanted_by.is_empty() && install.required_by.is_empty() && install.alias.is_empty() {
        bail!("/{file} has no [Install] section: nothing would start it");
    }
    let target = format!("/{file}");
    for (names, suffix) in [(&install.wanted_by, "wants"), (&install.required_by, "requires")] {
        for name in names {
            let dir = tree.make_dirs(&format!("{ETC}/{name}.{suffix}"), epoch)?;
            link(tree, &join(&dir, unit), &target, epoch)?;
        }
    }
    for alias in &install.alias {
        link(tree, &join(ETC, alias), &target, epoch)?;
    }
    Ok(())
}

fn find(tree: &Tree, name: &str) -> anyhow::Result<Option<(String, String)>> {
    for dir in UNIT_DIRS {
        let path = join(dir, name);
        if let Some(text) = tree.read_text(&path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

fn link(tree: &mut Tree, path: &str, target: &str, epoch: u64) -> anyhow::Result<()> {
    tree.insert(path, Node::new(Kind::Symlink(target.to_owned()), 0o777, epoch))
}

/// What the `[Install]` section says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    alias: Vec<String>,
}

impl Install {
    fn parse(text: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "Alias" => &mut install.alias,
                _ => continue,
            };
            list.extend(value.split_ascii_whitespace().map(str::to_owned));
        }
        install
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tree::Content;

    fn sample() -> Tree {
        let mut tree = Tree::new(None, 0);
        tree.make_dirs("usr/lib/systemd/system", 0).unwrap();
        for (name, text) in [
            (
                "a.service",
                "[Unit]\nWantedBy=not.this\n[Install]\nWantedBy=multi-user.target\nAlias=b.service\n",
            ),
            ("t@.service", "[Install]\nWantedBy=getty.target\n"),
            ("static.service", "[Service]\nExecStart=/bin/true\n"),
        ] {
            let node = Node::new(Kind::File(Content::Bytes(text.as_bytes().into())), 0o644, 0);
            tree.insert(&join("usr/lib/systemd/system", name), node).unwrap();
        }
        tree
    }

    fn services(enable: &[&str], disable: &[&str], mask: &[&str]) -> Services {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Services { enable: texts(enable), disable: texts(disable), mask: texts(mask) }
    }

    fn target<'t>(tree: &'t Tree, path: &str) -> Option<&'t Kind> {
        tree.get(path).map(|node| &node.kind)
    }

    #[test]
    fn enabling_links_and_disabling_removes_the_links() {
        let mut tree = sample();
        let unit = Kind::Symlink("/usr/lib/systemd/system/a.service".into());
        apply(&mut tree, &services(&["a.service", "t@1.service"], &[], &[]), 0).unwrap();
        let wants = "etc/systemd/system/multi-user.target.wants/a.service";
        assert_eq!(target(&tree, wants), Some(&unit));
        assert_eq!(target(&tree, "etc/systemd/system/b.service"), Some(&unit));
        assert!(tree.get("etc/systemd/system/getty.target.wants/t@1.service").is_some());

        apply(&mut tree, &services(&[], &["a.service"], &["t@1.service"]), 0).unwrap();
        assert_eq!(target(&tree, wants), None);
        assert_eq!(target(&tree, "etc/systemd/system/b.service"), None);
        assert_eq!(target(&tree, "etc/systemd/system/t@1.service"), Some(&Kind::Symlink("/dev/null".into())));
    }

    #[test]
    fn what_cannot_be_enabled_is_named() {
        let mut tree = sample();
        let error = |tree: &mut Tree, unit| {
            format!("{:#}", apply(tree, &services(&[unit], &[], &[]), 0).unwrap_err())
        };
        assert!(error(&mut tree, "none.service").contains("no unit file none.service"));
        assert!(error(&mut tree, "static.service").contains("no [Install] section"));
    }
}
