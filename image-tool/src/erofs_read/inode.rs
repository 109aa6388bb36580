//! Inodes with their extended attributes.

use image_format::BLOCK;

use super::{ErofsError, Extent, Fields, Image, Kind, LINK_MAX, Node, ReadAt, SLOT};

const FLAT_PLAIN: u16 = 0;
const FLAT_INLINE: u16 = 2;
const COMPACT_LEN: usize = 32;
const EXTENDED_LEN: usize = 64;
/// Length of the header before extended attributes.
const XATTR_HEADER: usize = 12;
/// Name prefixes of extended attributes by their numbers.
const PREFIXES: [(u8, &str); 5] = [
    (1, "user."),
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (4, "trusted."),
    (6, "security."),
];

/// What the fixed part says.
struct Fixed {
    mode: u16,
    size: u64,
    union: u32,
    uid: u32,
    gid: u32,
    mtime: u64,
    links: u32,
    len: usize,
    xattrs_len: usize,
    inline: bool,
}

impl<R: ReadAt> Image<R> {
    /// The inode of this number; `path` becomes the node's.
    pub(super) fn inode(&self, nid: u64, path: String) -> Result<Node, ErofsError> {
        self.read_inode(nid, &path).map_err(|error| error.of(&path)).map(|(fixed, kind, xattrs)| Node {
            path,
            nid,
            mode: fixed.mode & 0o7777,
            uid: fixed.uid,
            gid: fixed.gid,
            mtime: fixed.mtime,
            links: fixed.links,
            kind,
            xattrs,
        })
    }

    #[allow(clippy::type_complexity, reason = "the two halves of a node, taken apart at once")]
    fn read_inode(&self, nid: u64, path: &str) -> Result<(Fixed, Kind, Vec<(String, Vec<u8>)>), ErofsError> {
        let at = nid.checked_mul(SLOT).and_then(|offset| offset.checked_add(self.inodes_at));
        let at = at.ok_or_else(|| ErofsError::new("inode", "a number within the image", nid))?;
        let fixed = self.fixed(at)?;
        let behind = at + fixed.len as u64 + fixed.xattrs_len as u64;
        let kind = self.kind(&fixed, behind, path)?;
        let mut bytes = vec![0; fixed.xattrs_len];
        self.bytes(&mut bytes, at + fixed.len as u64, "extended attributes")?;
        Ok((fixed, kind, xattrs(&bytes)?))
    }

    fn fixed(&self, at: u64) -> Result<Fixed, ErofsError> {
        let mut bytes = [0; EXTENDED_LEN];
        self.bytes(&mut bytes[..COMPACT_LEN], at, "inode")?;
        let format = Fields(&bytes).u16(0);
        let extended = format & 1 == 1;
        let layout = format >> 1;
        if layout != FLAT_PLAIN && layout != FLAT_INLINE {
            return Err(ErofsError::new("inode", "contents in one piece", format!("layout {layout:#x}")));
        }
        if extended {
            self.bytes(&mut bytes, at, "inode")?;
        }
        let fields = Fields(&bytes);
        let xattrs_len = match usize::from(fields.u16(2)) {
            0 => 0,
            count => XATTR_HEADER + (count - 1) * 4,
        };
        let (mode, union, inline) = (fields.u16(4), fields.u32(16), layout == FLAT_INLINE);
        let fixed = Fixed {
            mode,
            union,
            inline,
            xattrs_len,
            size: fields.u32(8).into(),
            uid: fields.u16(24).into(),
            gid: fields.u16(26).into(),
            mtime: self.epoch,
            links: fields.u16(6).into(),
            len: COMPACT_LEN,
        };
        if !extended {
            return Ok(fixed);
        }
        Ok(Fixed {
            size: fields.u64(8),
            uid: fields.u32(24),
            gid: fields.u32(28),
            mtime: fields.u64(32),
            links: fields.u32(44),
            len: EXTENDED_LEN,
            ..fixed
        })
    }

    fn kind(&self, fixed: &Fixed, behind: u64, path: &str) -> Result<Kind, ErofsError> {
        // Linux's `new_decode_dev`.
        let device = (fixed.union >> 8 & 0xfff, fixed.union & 0xff | fixed.union >> 12 & 0xf_ff00);
        Ok(match fixed.mode & 0o170_000 {
            0o010_000 => Kind::Fifo,
            0o020_000 => Kind::CharDevice(device.0, device.1),
            0o040_000 => Kind::Dir(self.extent(fixed, behind)?),
            0o060_000 => Kind::BlockDevice(device.0, device.1),
            0o100_000 => Kind::File(self.extent(fixed, behind)?),
            0o120_000 => Kind::Symlink(self.target(fixed, behind)?),
            0o140_000 => Kind::Socket,
            other => return Err(ErofsError::new(format!("/{path}"), "a known type", format!("{other:#o}"))),
        })
    }

    fn extent(&self, fixed: &Fixed, behind: u64) -> Result<Extent, ErofsError> {
        let tail = fixed.inline.then_some(behind);
        let extent = Extent { size: fixed.size, block: fixed.union, tail };
        let [whole, rest] = extent.pieces();
        if whole.1 > 0 {
            self.inside(whole.0, whole.1, "contents")?;
        }
        if rest.1 > 0 {
            self.inside(rest.0, rest.1, "contents")?;
            if rest.0 % BLOCK + rest.1 > BLOCK {
                let found = format!("{} bytes from {} on", rest.1, rest.0);
                return Err(ErofsError::new("contents", "an inline part within its block", found));
            }
        }
        Ok(extent)
    }

    fn target(&self, fixed: &Fixed, behind: u64) -> Result<String, ErofsError> {
        let extent = self.extent(fixed, behind)?;
        if !(1..=LINK_MAX).contains(&extent.size) {
            let expected = format!("a target of 1 to {LINK_MAX} bytes");
            return Err(ErofsError::new("symbolic link", expected, extent.size));
        }
        let bytes = self.read_all(&extent, "symbolic link")?;
        match String::from_utf8(bytes) {
            Ok(target) if !target.contains('\0') => Ok(target),
            _ => Err(ErofsError::new("symbolic link", "a target in UTF-8 without NUL", "other bytes")),
        }
    }
}

fn xattrs(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ErofsError> {
    let refuse = |expected: &str, found: String| ErofsError::new("extended attributes", expected, found);
    let mut xattrs = Vec::new();
    let Some(shared) = bytes.get(4) else { return Ok(xattrs) };
    if *shared != 0 {
        return Err(refuse("none that are shared", format!("{shared} of them")));
    }
    let mut rest = &bytes[XATTR_HEADER..];
    while rest.len() >= 4 {
        let (name_len, prefix) = (usize::from(rest[0]), rest[1]);
        let value_len = usize::from(Fields(rest).u16(2));
        let end = 4 + name_len + value_len;
        let prefix = PREFIXES.iter().find(|(number, _)| *number == prefix);
        let prefix = prefix.ok_or_else(|| refuse("a known prefix", rest[1].to_string()))?.1;
        if end > rest.len() {
            return Err(refuse("an attribute within them", format!("{end} bytes of {}", rest.len())));
        }
        let suffix = std::str::from_utf8(&rest[4..4 + name_len]);
        let suffix = suffix.map_err(|_| refuse("a name in UTF-8", "other bytes".to_owned()))?;
        xattrs.push((format!("{prefix}{suffix}"), rest[4 + name_len..end].to_vec()));
        rest = rest.get(end.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Ok(xattrs)
}
