//! Debian packages that a build, a virtual machine and the tests need.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::view::View;

/// A package and how it is recognised.
#[derive(Debug, Clone, Copy)]
struct Package {
    name: &'static str,
    sign: Sign,
    why: &'static str,
}

/// What is there when a package is.
#[derive(Debug, Clone, Copy)]
enum Sign {
    File(&'static str),
    /// For files whose path has a version in it.
    PythonModule(&'static str),
}

const fn package(name: &'static str, file: &'static str, why: &'static str) -> Package {
    Package { name, sign: Sign::File(file), why }
}

impl Package {
    fn is_there(&self) -> bool {
        match self.sign {
            Sign::File(file) => Path::new(file).exists(),
            Sign::PythonModule(module) => {
                let import = format!("import {module}");
                Command::new("python3").args(["-c", &import]).output().is_ok_and(|out| out.status.success())
            }
        }
    }
}

const PYTHON: Package = Package {
    name: "python3-venv",
    sign: Sign::PythonModule("ensurepip"),
    why: "runs another implementation of TUF",
};

/// Beyond [`PYTHON`], what the TUF conformance suite needs.
const FAKETIME: Package =
    package("faketime", "/usr/bin/faketime", "sets the clock for the TUF conformance suite");

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
    package("openssl", "/usr/bin/openssl", "makes and reads keys of its own, encrypted ones too"),
    package("openssh-client", "/usr/bin/ssh-agent", "makes keys of its own and signs with them as an agent"),
    package("casync", "/usr/bin/casync", "reads what is exported and makes what is imported"),
    package("zstd", "/usr/bin/zstd", "reads what is exported"),
    package("strace", "/usr/bin/strace", "kills programs at every system call"),
    package("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "runs nodes as virtual machines"),
    package("ipxe-qemu", "/usr/lib/ipxe/qemu/pxe-virtio.rom", "has the network boot ROM of these machines"),
    package("seabios", "/usr/share/seabios/bios-256k.bin", "has the firmware of these machines"),
    PYTHON,
];

/// Beyond [`PACKAGES`], what `cargo performance` compares with and measures by.
const PEERS: &[Package] = &[
    package("xdelta3", "/usr/bin/xdelta3", "is compared with"),
    package("b3sum", "/usr/bin/b3sum", "is compared with"),
    package("nginx-light", "/usr/sbin/nginx", "is compared with"),
    package("wrk", "/usr/bin/wrk", "makes the load for two servers"),
    package("time", "/usr/bin/time", "tells the memory that a program took"),
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
    let unprivileged = (!is_root()?).then_some(&UNPRIVILEGED);
    install(view, PACKAGES.iter().chain(unprivileged))
}

/// As [`ensure_installed`], for the TUF conformance suite.
pub fn ensure_for_conformance(view: &View) -> Result<String> {
    install(view, [&PYTHON, &FAKETIME].into_iter())
}

/// As [`ensure_installed`], with the peers of `cargo performance`.
pub fn ensure_for_performance(view: &View) -> Result<String> {
    install(view, PACKAGES.iter().chain(PEERS))
}

fn install(view: &View, wanted: impl Iterator<Item = &'static Package>) -> Result<String> {
    let root = is_root()?;
    let missing: Vec<&Package> = wanted.filter(|package| !package.is_there()).collect();
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
            package.is_there(),
            "apt-get installed {}, but {:?} is not there",
            package.name,
            package.sign
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
