//! What stands before a file's contents: where ustar's fields are too small or do not exist, a pax header with records, then the
//! ustar header. (POSIX.1-2017, "pax".)

use tar::{EntryType, Header};

/// Everything in an archive has a multiple of this many bytes.
pub(super) const BLOCK_LEN: usize = 512;

/// Largest number in the seven octal digits of an owner.
const OWNER_MAX: u64 = 0o777_7777;
/// Largest number in the eleven octal digits of a size or a date.
const LONG_MAX: u64 = 0o777_7777_7777;
/// Name of a pax header itself, for programs that do not know them.
const PAX_NAME: &str = "././@PaxHeader";

/// A file.
#[derive(Debug)]
pub(super) struct Entry<'n> {
    /// As it stands in the archive.
    pub(super) name: String,
    /// What it is.
    pub(super) kind: Type<'n>,
    /// Permission bits.
    pub(super) mode: u16,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: u64,
    /// Extended attributes: name and value.
    pub(super) xattrs: &'n [(String, Vec<u8>)],
}

/// What a file is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type<'n> {
    /// A regular file of this size.
    File(u64),
    /// A hard link to a file that came before.
    Link(&'n str),
    /// A symbolic link to this.
    Symlink(&'n str),
    /// A directory.
    Dir,
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Entry<'_> {
    /// All headers, whole blocks.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let header = self.header(&mut records);
        let mut bytes = Vec::new();
        if !records.is_empty() {
            let mut pax = Header::new_ustar();
            put(&mut pax.as_old_mut().name, PAX_NAME.as_bytes());
            pax.set_entry_type(EntryType::XHeader);
            pax.set_mode(0o644);
            pax.set_size(records.len() as u64);
            pax.set_cksum();
            bytes.extend_from_slice(pax.as_bytes());
            bytes.append(&mut records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK_LEN), 0);
        }
        bytes.extend_from_slice(header.as_bytes());
        bytes
    }

    /// The ustar header; what it cannot say goes into `records`.
    fn header(&self, records: &mut Vec<u8>) -> Header {
        let mut header = Header::new_ustar();
        if !put(&mut header.as_old_mut().name, self.name.as_bytes()) {
            record(records, "path", self.name.as_bytes());
        }
        let (entry_type, target, device, size) = match self.kind {
            Type::File(size) => (EntryType::Regular, None, (0, 0), size),
            Type::Link(first) => (EntryType::Link, Some(first), (0, 0), 0),
            Type::Symlink(target) => (EntryType::Symlink, Some(target), (0, 0), 0),
            Type::Dir => (EntryType::Directory, None, (0, 0), 0),
            Type::CharDevice(major, minor) => (EntryType::Char, None, (major, minor), 0),
            Type::BlockDevice(major, minor) => (EntryType::Block, None, (major, minor), 0),
            Type::Fifo => (EntryType::Fifo, None, (0, 0), 0),
        };
        header.set_entry_type(entry_type);
        if let Some(target) = target
            && !put(&mut header.as_old_mut().linkname, target.as_bytes())
        {
            record(records, "linkpath", target.as_bytes());
        }
        let set = header.set_device_major(device.0).and_then(|()| header.set_device_minor(device.1));
        set.expect("the header is one of ustar");
        header.set_mode(self.mode.into());
        header.set_uid(number(records, "uid", self.uid.into(), OWNER_MAX));
        header.set_gid(number(records, "gid", self.gid.into(), OWNER_MAX));
        header.set_size(number(records, "size", size, LONG_MAX));
        header.set_mtime(number(records, "mtime", self.mtime, LONG_MAX));
        for (name, value) in self.xattrs {
            // As GNU tar does: a keyword ends at the first `=`.
            let name = name.replace('%', "%25").replace('=', "%3D");
            record(records, &format!("SCHILY.xattr.{name}"), value);
        }
        header.set_cksum();
        header
    }
}

/// Puts what fits into a field; says whether it is all.
fn put(field: &mut [u8], text: &[u8]) -> bool {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text[..len]);
    len == text.len()
}

/// `found` for a header's field; a larger one than `max` becomes a record.
fn number(records: &mut Vec<u8>, keyword: &str, found: u64, max: u64) -> u64 {
    if found <= max {
        return found;
    }
    record(records, keyword, found.to_string().as_bytes());
    0
}

/// `LENGTH KEYWORD=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let mut len = rest;
    while rest + digits(len) > len {
        len = rest + digits(len);
    }
    records.extend_from_slice(format!("{len} {keyword}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_records_length_counts_itself() {
        for len in [0, 1, 80, 87, 88, 89, 90, 91, 980, 985, 986, 987, 988, 990] {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'x'; len]);
            let text = String::from_utf8(records.clone()).unwrap();
            let (number, _) = text.split_once(' ').unwrap();
            assert_eq!(number.parse::<usize>().unwrap(), records.len(), "{len}");
        }
    }

    proptest! {
        /// Another implementation reads what was written. (It does not read values with line ends, which pax allows.)
        #[test]
        fn what_is_written_is_read(
            name in "[a-zé]{1,120}", target in "[a-z/]{1,200}", mode in 0..0o10000u16, owner: u32, mtime in 0..1u64 << 40,
            value in proptest::collection::vec(11..=255u8, 0..200), is_link: bool,
        ) {
            let xattrs = [("user.x".to_owned(), value.clone())];
            let kind = if is_link { Type::Symlink(&target) } else { Type::File(3) };
            let entry = Entry { name: name.clone(), kind, mode, uid: owner, gid: owner / 2, mtime, xattrs: &xattrs };
            let mut bytes = entry.encode();
            prop_assert_eq!(bytes.len() % BLOCK_LEN, 0);
            if !is_link {
                bytes.extend(b"abc");
                bytes.resize(bytes.len().next_multiple_of(BLOCK_LEN), 0);
            }
            bytes.extend([0; 1024]);
            let mut archive = tar::Archive::new(bytes.as_slice());
            let mut entries = archive.entries().unwrap();
            let mut read = entries.next().unwrap().unwrap();
            prop_assert_eq!(&*read.path_bytes(), name.as_bytes());
            let extensions: Vec<(String, Vec<u8>)> = read.pax_extensions().unwrap().unwrap()
                .map(|extension| extension.unwrap())
                .map(|extension| (extension.key().unwrap().to_owned(), extension.value_bytes().to_vec())).collect();
            prop_assert!(extensions.contains(&("SCHILY.xattr.user.x".to_owned(), value)));
            let number = |key: &str, field: u64| {
                let found = extensions.iter().find(|(found, _)| found == key);
                found.map_or(field, |(_, value)| std::str::from_utf8(value).unwrap().parse().unwrap())
            };
            let header = read.header().clone();
            prop_assert_eq!(number("uid", header.uid().unwrap()), u64::from(owner));
            prop_assert_eq!(number("gid", header.gid().unwrap()), u64::from(owner / 2));
            prop_assert_eq!(number("mtime", header.mtime().unwrap()), mtime);
            prop_assert_eq!(header.mode().unwrap(), u32::from(mode));
            if is_link {
                prop_assert_eq!(&*read.link_name_bytes().unwrap(), target.as_bytes());
            } else {
                let mut content = String::new();
                read.read_to_string(&mut content).unwrap();
                prop_assert_eq!(content, "abc");
            }
            drop(read);
            prop_assert!(entries.next().is_none());
        }
    }
}
