//! Writes a cpio archive in the `newc` format (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Entries come in the order given; numbers that would depend on the machine (inode, date) are fixed.

/// A growing archive.
#[derive(Debug, Default)]
pub(crate) struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    /// Adds a directory with mode 0755.
    pub(crate) fn dir(&mut self, path: &str) {
        self.entry(path, 0o040_755, 2, (0, 0), &[]);
    }

    /// Adds a file with the permission bits `mode`.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entry(path, 0o100_000 | mode, 1, (0, 0), bytes);
    }

    /// Adds a character device with mode 0600.
    pub(crate) fn char_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, 0o020_600, 1, (major, minor), &[]);
    }

    /// The finished archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entries = u32::MAX;
        self.entry("TRAILER!!!", 0, 1, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, links: u32, device: (u32, u32), bytes: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        let size = u32::try_from(bytes.len()).expect("files of an initramfs are below 4 GiB");
        let name_len = path.len() as u32 + 1;
        // inode, mode, uid, gid, links, mtime, size, device of the archive (2), device number (2), name length, checksum
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_len, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_the_format_says() {
        let mut cpio = Cpio::default();
        cpio.file("init", 0o755, b"abc");
        cpio.char_device("dev/console", 5, 1);
        let bytes = cpio.finish();
        let text = String::from_utf8_lossy(&bytes);
        let init = "070701\
            00000001000081ED0000000000000000000000010000000000000003\
            000000000000000000000000000000000000000500000000init\0\0abc\0";
        assert!(text.starts_with(init), "{text:?}");
        let console = "070701\
            00000002000021800000000000000000000000010000000000000000\
            000000000000000000000005000000010000000C00000000dev/console\0";
        assert!(text[init.len()..].starts_with(console), "{text:?}");
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
