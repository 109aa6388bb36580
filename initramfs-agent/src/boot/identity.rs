//! Machine id and host name: made once, kept on the state partition, written into each boot's `/etc`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::net::Mac;

/// Gives `etc` the node's machine id and host name; makes them on first use.
pub(super) fn give(state: &Path, etc: &Path, mac: Option<Mac>) -> anyhow::Result<()> {
    let id = kept(&state.join("machine-id"), is_machine_id, new_machine_id)?;
    replace(&etc.join("machine-id"), &id)?;
    let name = kept(&state.join("hostname"), is_host_name, || Ok(default_name(mac)))?;
    replace(&etc.join("hostname"), &name)
}

/// Writes a file in place of whatever is there: a link of the image would lead out of it.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let _not_there = fs::remove_file(path);
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The line in `path` if it is valid, else a new one, written so that a cut leaves the old or the new file.
fn kept(
    path: &Path,
    valid: fn(&str) -> bool,
    new: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    if let Ok(text) = fs::read_to_string(path)
        && valid(text.trim_end_matches('\n'))
    {
        return Ok(text);
    }
    let text = format!("{}\n", new()?);
    let growing = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&growing)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&growing, path)
    };
    write().with_context(|| format!("write {}", path.display()))?;
    Ok(text)
}

fn is_machine_id(text: &str) -> bool {
    text.len() == 32
        && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        && text.contains(|c| c != '0')
}

/// 128 random bits in the form of a random UUID, as machine-id(5) asks.
fn new_machine_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("random bytes for the machine id")?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_host_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    text.len() <= 64
        && text.bytes().all(inner)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

fn default_name(mac: Option<Mac>) -> String {
    mac.map_or_else(|| "node".to_owned(), |mac| format!("node-{}", mac.compact()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_survives_and_damage_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let (state, etc) = (root.path().join("state"), root.path().join("etc"));
        fs::create_dir_all(&state).unwrap();
        fs::create_dir_all(&etc).unwrap();
        let read = |name: &str| fs::read_to_string(etc.join(name)).unwrap();
        give(&state, &etc, Some(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]))).unwrap();
        let first = read("machine-id");
        assert!(is_machine_id(first.trim_end()) && first.len() == 33, "{first}");
        assert_eq!(read("hostname"), "node-525400123456\n");

        fs::write(state.join("hostname"), "alpha\n").unwrap();
        give(&state, &etc, None).unwrap();
        assert_eq!((read("machine-id"), read("hostname")), (first.clone(), "alpha\n".to_owned()));

        fs::write(state.join("machine-id"), "").unwrap();
        give(&state, &etc, None).unwrap();
        assert_ne!(read("machine-id"), first);
    }

    #[test]
    fn strange_names_are_not_taken() {
        for bad in ["", "-a", "a b", "a\nb", &"a".repeat(65)] {
            assert!(!is_host_name(bad), "{bad:?}");
        }
        for bad in ["0".repeat(32), "G".repeat(32), "a".repeat(31)] {
            assert!(!is_machine_id(&bad), "{bad}");
        }
    }
}
