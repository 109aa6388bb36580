//! Debian packages that a build, a virtual machine and the tests need.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::view::View;

/// A package and the file by which it is recognised.
#[derive(Debug, Clone, Copy)]
struct Package {
    name: &'static str,
    file: &'static str,
    why: &'static str,
}

const fn package(name: &'static str, file: &'static str, why: &'static str) -> Package {
    Package { name, file, why }
}

const PACKAGES: &[Package] = &[
    package("mmdebstrap", "/usr/bin/mmdebstrap", "makes the Debian root tree of an image"),
    package("erofs-utils", "/usr/bin/fsck.erofs", "checks the file system of an image"),
    package("grub-common", "/usr/bin/grub-mkimage", "makes the boot loader of the local disk"),
    package("grub-pc-bin", "/usr/lib/grub/i386-pc/boot.img", "has the boot loader's modules for BIOS"),
    package("musl-tools", "/usr/bin/musl-gcc", "links the static agent"),
    package(
        "cryptsetup-bin",
        "/usr/sbin/veritysetup",
        "computes an image's verity root hash by another implementation",
    ),
    package("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "runs nodes as virtual machines"),
    package("ipxe-qemu", "/usr/lib/ipxe/qemu/pxe-virtio.rom", "has the network boot ROM of these machines"),
    package("seabios", "/usr/share/seabios/bios-256k.bin", "has the firmware of these machines"),
];

/// Without root, mmdebstrap needs these helpers for its user namespace.
const UNPRIVILEGED: Package = package("uidmap", "/usr/bin/newuidmap", "lets mmdebstrap run without root");

/// Whether this process is root.
pub fn is_root() -> Result<bool> {
    let out = Command::new("id").arg("-u").output().context("run id -u")?;
    Ok(out.stdout.trim_ascii() == b"0")
}

/// Installs what is missing when root; else fails with the exact command. Returns a short account.
pub fn ensure_installed(view: &View) -> Result<String> {
    let root = is_root()?;
    let wanted = PACKAGES.iter().chain((!root).then_some(&UNPRIVILEGED));
    let missing: Vec<&Package> = wanted.filter(|package| !Path::new(package.file).exists()).collect();
    if missing.is_empty() {
        return Ok("all present".into());
    }
    for package in &missing {
        view.note(&format!("     needs the Debian package {}: {}", package.name, package.why));
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !root {
        bail!(
            "system packages are missing and this is not root; run:\n  sudo apt-get install -y --no-install-recommends {}",
            names.join(" ")
        );
    }
    apt(view, &["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&names);
    apt(view, &arguments)?;
    for package in missing {
        ensure!(
            Path::new(package.file).exists(),
            "apt-get installed {}, but {} is not there",
            package.name,
            package.file
        );
    }
    Ok(format!("installed {}", names.join(" ")))
}

fn apt(view: &View, arguments: &[&str]) -> Result<()> {
    let what = format!("apt-get {}", arguments.join(" "));
    view.note(&format!("     {what}"));
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    crate::process::run(&command, view)?.success(&what)?;
    Ok(())
}
