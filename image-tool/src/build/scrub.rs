//! Removes what must not, or need not, be in an image: secrets that packages make when they are installed, caches, logs,
//! and whatever differs from one build to the next.

use super::tree::{Content, Kind, Tree};
use crate::recipe::Glob;

/// Removed from every root, as path patterns.
///
/// * Secrets: SSH host keys and Pacemaker's key are made by `postinst` scripts; shared by all nodes they would be worthless.
/// * `aux-cache` holds inode numbers; the others are caches, locks, logs and backups.
/// * `/dev` is devtmpfs; kernel and initrd travel as artifacts of their own.
/// * `/var/log/journal` makes the journal persistent; nodes decide that for themselves.
const REMOVED: [&str; 25] = [
    "/boot/*",
    "/dev/*",
    "/etc/*-",
    "/etc/.pwd.lock",
    "/etc/apt/sources.list.d/0000sources.list",
    "/etc/hostname",
    "/etc/pacemaker/authkey",
    "/etc/resolv.conf",
    "/etc/ssh/ssh_host_*",
    "/initrd.img*",
    "/vmlinuz*",
    "/run/*",
    "/tmp/*",
    "/var/cache/apt/*",
    "/var/cache/debconf/*",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/apt/*",
    "/var/lib/dbus/machine-id",
    "/var/lib/dpkg/*-old",
    "/var/lib/dpkg/lock*",
    "/var/lib/systemd/random-seed",
    "/var/log/*.log",
    "/var/log/**/*.log",
    "/var/log/apt",
    "/var/log/journal",
];
/// Records of logins and boots: emptied, because programs expect them to exist.
const EMPTIED: [&str; 5] =
    ["etc/machine-id", "var/log/btmp", "var/log/faillog", "var/log/lastlog", "var/log/wtmp"];
/// Day of the last password change, in days since 1970, for all accounts.
const SHADOW_DAY: &str = "19675";

/// Scrubs `tree`; `extra` are the recipe's own patterns.
pub(crate) fn scrub(tree: &mut Tree, extra: &[Glob]) -> anyhow::Result<()> {
    let always = REMOVED.map(|pattern| {
        Glob::try_from(pattern.to_owned()).expect("the patterns above are absolute and well formed")
    });
    let patterns: Vec<&Glob> = always.iter().chain(extra).collect();
    let doomed: Vec<String> = tree
        .iter()
        .filter(|(path, _)| !path.is_empty() && patterns.iter().any(|pattern| pattern.matches(path)))
        .map(|(path, _)| path.to_owned())
        .collect();
    for path in doomed {
        tree.remove(&path);
    }
    for path in EMPTIED {
        if let Some(node) = tree.get_mut(path)
            && matches!(node.kind, Kind::File(_))
        {
            node.kind = Kind::File(Content::Bytes([].into()));
        }
    }
    date_passwords(tree)
}

/// `/etc/shadow` has the day of installation in its third field.
fn date_passwords(tree: &mut Tree) -> anyhow::Result<()> {
    let Some(text) = tree.read_text("etc/shadow")? else { return Ok(()) };
    let dated: String = text
        .lines()
        .map(|line| {
            let mut fields: Vec<&str> = line.split(':').collect();
            if fields.len() == 9 {
                fields[2] = SHADOW_DAY;
            }
            fields.join(":") + "\n"
        })
        .collect();
    if let Some(node) = tree.get_mut("etc/shadow")
        && dated != text
    {
        node.kind = Kind::File(Content::Bytes(dated.into_bytes().into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tree::Node;

    #[test]
    fn secrets_and_caches_go_and_the_rest_stays() {
        let mut tree = Tree::new(None, 0);
        let gone = [
            "etc/ssh/ssh_host_rsa_key",
            "etc/pacemaker/authkey",
            "boot/vmlinuz-6.1",
            "var/lib/apt/lists/x",
            "var/log/crmsh/crmsh.log",
            "etc/shadow-",
            "srv/mine",
        ];
        let stays =
            ["etc/ssh/sshd_config", "etc/machine-id", "var/lib/dpkg/status", "var/log/wtmp", "etc/shadow"];
        for path in gone.iter().chain(&stays) {
            tree.make_dirs(crate::build::tree::split(path).0, 0).unwrap();
            let text = "root:*:20000:0:99999:7:::\n";
            tree.insert(path, Node::new(Kind::File(Content::Bytes(text.as_bytes().into())), 0o600, 0))
                .unwrap();
        }
        scrub(&mut tree, &[Glob::try_from("/srv/*".to_owned()).unwrap()]).unwrap();
        for path in gone {
            assert!(tree.get(path).is_none(), "{path}");
        }
        for path in stays {
            assert!(tree.get(path).is_some(), "{path}");
        }
        assert_eq!(tree.read_file("etc/machine-id").unwrap().unwrap(), b"");
        assert_eq!(tree.read_file("etc/shadow").unwrap().unwrap(), b"root:*:19675:0:99999:7:::\n");
    }
}
