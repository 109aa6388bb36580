//! A small made-up archive goes through everything that happens to a real one.

use std::fs;
use std::path::PathBuf;

use image_format::Role;

use super::*;
use crate::build::files::{self, FileType};
use crate::recipe::{self, RecipeError};
use crate::ui::Ui;

const RECIPE: &str = r#"
packages = ["systemd"]
[kernel]
package = "linux-image"
drivers = ["virtio_net"]
cmdline = "console=ttyS0"
[services]
enable = ["app.service"]
[root]
remove = ["/usr/share/junk"]
[disk]
slot_mib = 64
state_mib = 0
"#;

const STATUS: &str = "Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n";
const DEP: &str = "kernel/dm-verity.ko:\nkernel/erofs.ko:\nkernel/overlay.ko:\nkernel/ext4.ko:\nkernel/af_packet.ko:\n\
                   kernel/virtio_net.ko: kernel/failover.ko\nkernel/failover.ko:\nkernel/tg3.ko:\n";

struct World {
    dir: tempfile::TempDir,
    files: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        let mut files: Vec<(String, String)> = [
            ("boot/vmlinuz-6.1", "kernel"),
            ("boot/config-6.1", "CONFIG_X=y"),
            ("etc/machine-id", "uninitialized\n"),
            ("etc/shadow", "root:*:20000:0:99999:7:::\n"),
            ("etc/ssh/ssh_host_rsa_key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
            ("usr/lib/modules/6.1/modules.alias", "alias virtio:d1 virtio_net\nalias pci:x tg3\n"),
            ("usr/lib/modules/6.1/modules.builtin", ""),
            ("usr/lib/modules/6.1/modules.dep", DEP),
            ("usr/lib/systemd/system/app.service", "[Install]\nWantedBy=multi-user.target\n"),
            ("usr/sbin/app", "program"),
            ("usr/share/junk/a", "junk"),
            ("var/lib/dpkg/status", STATUS),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
        let modules = DEP.lines().filter_map(|line| line.split(':').next());
        files.extend(modules.map(|file| (format!("usr/lib/modules/6.1/{file}"), format!("module {file}"))));
        Self { dir: tempfile::tempdir().unwrap(), files }
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn archive(&self) -> PathBuf {
        let path = self.dir.path().join("root.tar");
        let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
        let mut dirs = std::collections::BTreeSet::new();
        for (file, _) in &self.files {
            dirs.extend(file.match_indices('/').map(|(end, _)| file[..end].to_owned()));
        }
        let mut add = |path: &str, kind, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_mtime(5_000_000_000);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes).unwrap();
        };
        dirs.iter().for_each(|dir| add(dir, tar::EntryType::Directory, b""));
        for (path, text) in &self.files {
            add(path, tar::EntryType::Regular, text.as_bytes());
        }
        builder.finish().unwrap();
        path
    }

    fn recipe(&self, more: &str) -> Result<Recipe, RecipeError> {
        self.put("images/app/recipe.toml", &format!("{RECIPE}{more}"));
        let role: Role = "app".parse().unwrap();
        recipe::load(&self.dir.path().join("images"), &role)
    }

    fn customise(&self) -> anyhow::Result<Root> {
        let recipe = self.recipe("").unwrap();
        customise(&recipe, &self.archive(), b"agent", &Ui::new(true).spinner("test"))
    }

    fn refused(&self) -> String {
        format!("{:#}", self.customise().unwrap_err())
    }
}

#[test]
fn a_role_becomes_a_root() {
    let world = World::new();
    world.put("images/app/overlay/etc/app.conf", "setting = 1\n");
    let root = world.customise().unwrap();

    assert_eq!((root.kernel.release.as_str(), root.kernel.image.as_slice()), ("6.1", &b"kernel"[..]));
    let modules: Vec<&str> = root.modules.files.keys().map(String::as_str).collect();
    assert!(modules.contains(&"kernel/failover.ko") && !modules.contains(&"kernel/tg3.ko"), "{modules:?}");
    assert_eq!(root.modules.alias, "alias virtio:d1 virtio_net\n");
    assert_eq!(root.packages().len(), 1);

    let list = files::decode(&root.files).unwrap();
    let entry = |path: &str| list.iter().find(|entry| entry.path == path);
    for gone in ["/boot/vmlinuz-6.1", "/etc/ssh/ssh_host_rsa_key", "/usr/share/junk"] {
        assert!(entry(gone).is_none(), "{gone}");
    }
    assert!(entry("/boot").is_some(), "an empty directory to mount on stays");
    assert_eq!(entry("/etc/machine-id").unwrap().size, Some(0));
    assert_eq!(entry("/usr/sbin/imgagent").unwrap().blake3, Some(blake3::hash(b"agent").to_string()));
    let wanted = entry("/etc/systemd/system/multi-user.target.wants/app.service").unwrap();
    assert_eq!(
        (wanted.file_type, wanted.target.as_deref()),
        (FileType::Link, Some("/usr/lib/systemd/system/app.service"))
    );
    assert_eq!(entry("/etc/app.conf").unwrap().mode, "0644");
    assert!(list.iter().all(|entry| entry.mtime == 1_700_000_000), "dates are clamped");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = World::new();
    let image = |root: &Root| {
        let mut bytes = Vec::new();
        crate::build::erofs::write(&root.tree, &root.contents, 1_700_000_000, &mut bytes, &|_| {}).unwrap();
        (bytes, root.files.clone())
    };
    assert_eq!(image(&world.customise().unwrap()), image(&world.customise().unwrap()));
}

#[test]
fn an_overlay_cannot_bring_a_secret() {
    let world = World::new();
    world.put("images/app/overlay/etc/app.key", "-----BEGIN EC PRIVATE KEY-----\n");
    let error = world.refused();
    assert!(error.contains("\n  /etc/app.key: private key (at its start)\n"), "{error}");
    let allow = "[[allow-secret]]\npath = \"/etc/app.key\"\nreason = \"";
    assert!(error.ends_with(&format!("{allow}\"")), "{error}");

    // What the error says, with a reason, makes it pass, and the reason is on record.
    let recipe = world.recipe(&format!("{allow}it is a test\"\n")).unwrap();
    let root = customise(&recipe, &world.archive(), b"agent", &Ui::new(true).spinner("test")).unwrap();
    assert_eq!(root.allowed.len(), 1);
    assert_eq!(
        (root.allowed[0].path.as_str(), root.allowed[0].reason.as_str()),
        ("/etc/app.key", "it is a test")
    );
}

#[test]
fn an_allowed_secret_that_is_not_there_is_a_mistake() {
    let world = World::new();
    let allow = "[[allow-secret]]\npath = \"/etc/app.key\"\nreason = \"it is a test\"\n";
    let recipe = world.recipe(allow).unwrap();
    let error = customise(&recipe, &world.archive(), b"agent", &Ui::new(true).spinner("test")).unwrap_err();
    assert!(error.to_string().contains("recipe.toml:14:1: allow-secret /etc/app.key: "), "{error}");
}

#[test]
fn the_recipes_digest_covers_overlays() {
    let world = World::new();
    let digest = || world.customise().unwrap().recipe;
    let bare = digest();
    assert_eq!(digest(), bare);
    world.put("images/app/overlay/etc/app.conf", "setting = 1\n");
    let with = digest();
    assert_ne!(with, bare);
    world.put("images/app/overlay/etc/app.conf", "setting = 2\n");
    assert_ne!(digest(), with);
    let recipe = world.recipe("# a remark\n").unwrap();
    assert_ne!(recipe.files, world.recipe("").unwrap().files);
}

#[test]
fn roots_without_exactly_one_kernel_are_refused() {
    let mut world = World::new();
    world.files.push(("boot/vmlinuz-6.2".into(), "other".into()));
    assert_eq!(world.refused(), "the root tree has more than one kernel: 6.1, 6.2");
    world.files.retain(|(path, _)| !path.starts_with("boot/vmlinuz"));
    assert!(world.refused().starts_with("the root tree has no /boot/vmlinuz-*"), "{}", world.refused());
}

#[test]
fn drivers_that_the_kernel_lacks_are_named() {
    let mut world = World::new();
    world.files.retain(|(path, _)| !path.ends_with("virtio_net.ko"));
    assert!(world.refused().contains("/usr/lib/modules/6.1/kernel/virtio_net.ko"), "{}", world.refused());
    for (path, text) in &mut world.files {
        if path.ends_with("modules.dep") {
            *text = text.replace("kernel/virtio_net.ko: kernel/failover.ko\n", "");
        }
    }
    assert_eq!(world.refused(), "kernel.drivers: kernel 6.1 has no module virtio_net");
}
