//! The static agent that goes into initramfs and root.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::fsutil;

/// Name of the program.
const NAME: &str = "imgagent";
/// Where cargo puts it, seen from the directory of a program of the same workspace.
const BESIDE: [&str; 2] = [NAME, "../x86_64-unknown-linux-musl/agent/imgagent"];
/// Largest agent taken, in bytes.
const AGENT_MAX: u64 = 64 << 20;

/// Where the agent is, when the user does not say it.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("find this program's own file")?;
    let dir = exe.parent().unwrap_or(Path::new("."));
    let candidates = BESIDE.map(|path| dir.join(path));
    let names = candidates.each_ref().map(|path| path.display().to_string());
    candidates.into_iter().find(|path| path.is_file()).with_context(|| {
        format!(
            "no {NAME} at {}: name it with --agent (built by `cargo build -p initramfs-agent --profile agent \
             --target x86_64-unknown-linux-musl`)",
            names.join(" nor ")
        )
    })
}

/// Reads the agent and checks that it runs without any library.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fsutil::read_limited(path, AGENT_MAX).context("read the agent")?;
    check_static(&bytes).with_context(|| format!("agent {}", path.display()))?;
    Ok(bytes)
}

/// Expects an ELF program for x86-64 that asks for no interpreter (System V ABI, chapters 4 and 5).
fn check_static(bytes: &[u8]) -> anyhow::Result<()> {
    const PT_INTERP: u32 = 3;
    let number = |offset: usize, len: usize| -> anyhow::Result<u64> {
        let field = bytes.get(offset..offset.saturating_add(len)).context("ends too early")?;
        Ok(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    // Class 64 bit, little endian; machine 62.
    if !bytes.starts_with(b"\x7fELF\x02\x01") || number(18, 2)? != 62 {
        bail!("expected a program for x86_64 Linux");
    }
    let (table, entry_len, entries) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for entry in 0..entries {
        let offset = usize::try_from(table.saturating_add(entry * entry_len)).context("header table")?;
        if number(offset, 4)? == u64::from(PT_INTERP) {
            bail!("expected a static program, found one that needs a dynamic linker");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_static_programs_are_taken() {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        check_static(&elf).unwrap();
        elf[64] = 3;
        assert!(check_static(&elf).unwrap_err().to_string().contains("dynamic linker"));
        elf[56] = 9;
        elf[64] = 1;
        assert!(check_static(&elf).unwrap_err().to_string().contains("ends too early"));
        assert!(check_static(b"#!/bin/sh\n").unwrap_err().to_string().contains("x86_64"));
    }
}
