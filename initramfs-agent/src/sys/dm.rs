//! Device-mapper ioctls on `/dev/mapper/control`: just enough to set up one target (linux/dm-ioctl.h, interface 4).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// Size of `struct dm_ioctl`; part of the kernel's interface.
const HEADER: usize = 312;

/// Size of `struct dm_target_spec`.
const TARGET: usize = 40;

/// One buffer for all calls: header, one target, its parameters.
const BUFFER: usize = 4096;

/// Where the name lies in the header, and its longest length with the terminating zero.
const NAME: std::ops::Range<usize> = 48..176;

const CREATE: u8 = 3;
const REMOVE: u8 = 4;
const SUSPEND: u8 = 6;
const TABLE_LOAD: u8 = 9;
const TABLE_STATUS: u8 = 12;

const READ_ONLY: u32 = 1;

/// A call to the device mapper failed.
#[derive(Debug, thiserror::Error)]
#[error("device mapper: {operation} of {name}")]
pub struct DmError {
    /// Which call.
    pub operation: &'static str,
    /// Name of the mapped device.
    pub name: String,
    /// What the kernel said.
    pub source: io::Error,
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// Length in sectors of 512 bytes.
    pub sectors: u64,
    /// `verity`.
    pub kind: &'a str,
    /// Parameters as the target reads them.
    pub parameters: &'a str,
}

/// The control device.
#[derive(Debug)]
pub struct Control(File);

impl Control {
    /// Opens it.
    ///
    /// # Errors
    /// The module `dm_mod` is not loaded.
    pub fn open() -> io::Result<Self> {
        File::options().read(true).write(true).open("/dev/mapper/control").map(Self)
    }

    /// Creates a read-only device with one target and makes it live; returns its minor number, `/dev/dm-<minor>`. A device
    /// whose table is refused is removed again.
    ///
    /// # Errors
    /// [`DmError`] names the call.
    pub fn create_read_only(&self, name: &str, target: &Target<'_>) -> Result<u32, DmError> {
        let created = self.call("creation", CREATE, &request(name, READ_ONLY, None)?)?;
        let minor = minor_of(read_u64(&created[..], 40));
        let live = self
            .call("table", TABLE_LOAD, &request(name, READ_ONLY, Some(target))?)
            .and_then(|_| self.call("start", SUSPEND, &request(name, 0, None)?));
        match live {
            Ok(_) => Ok(minor),
            Err(error) => {
                self.remove(name)?;
                Err(error)
            }
        }
    }

    /// Removes a device that nobody uses.
    ///
    /// # Errors
    /// [`DmError`]; busy devices stay.
    pub fn remove(&self, name: &str) -> Result<(), DmError> {
        self.call("removal", REMOVE, &request(name, 0, None)?).map(drop)
    }

    /// The status line of the first target; `V` is verity's word for "no corruption seen".
    ///
    /// # Errors
    /// [`DmError`]; no such device.
    pub fn status(&self, name: &str) -> Result<String, DmError> {
        let answer = self.call("status", TABLE_STATUS, &request(name, 0, None)?)?;
        let text = &answer[HEADER + TARGET..];
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        Ok(String::from_utf8_lossy(&text[..end]).into_owned())
    }

    fn call(
        &self,
        operation: &'static str,
        number: u8,
        request: &Request,
    ) -> Result<Box<[u8; BUFFER]>, DmError> {
        let mut buffer = request.bytes.clone();
        // _IOWR(0xfd, number, struct dm_ioctl)
        let code = 3_u32 << 30 | u32::try_from(HEADER).unwrap_or(0) << 16 | 0xfd << 8 | u32::from(number);
        // SAFETY: the buffer is BUFFER bytes long and says so in its data_size field; the kernel reads and writes no more
        // than data_size bytes, and keeps no pointer to it.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), code as libc::Ioctl, buffer.as_mut_ptr()) };
        if result == 0 {
            Ok(buffer)
        } else {
            Err(DmError { operation, name: request.name.clone(), source: io::Error::last_os_error() })
        }
    }
}

struct Request {
    name: String,
    bytes: Box<[u8; BUFFER]>,
}

fn request(name: &str, flags: u32, target: Option<&Target<'_>>) -> Result<Request, DmError> {
    let too_long = |what: &'static str| DmError {
        operation: what,
        name: name.to_owned(),
        source: io::Error::from(io::ErrorKind::InvalidInput),
    };
    let mut bytes = Box::new([0; BUFFER]);
    let version = [4_u32, 0, 0];
    for (place, number) in version.into_iter().enumerate() {
        put_u32(&mut bytes[..], place * 4, number);
    }
    put_u32(&mut bytes[..], 12, u32::try_from(BUFFER).unwrap_or(0));
    put_u32(&mut bytes[..], 16, u32::try_from(HEADER).unwrap_or(0));
    put_u32(&mut bytes[..], 20, u32::from(target.is_some()));
    put_u32(&mut bytes[..], 28, flags);
    put_text(&mut bytes[NAME], name).ok_or_else(|| too_long("name"))?;
    if let Some(target) = target {
        bytes[HEADER + 8..HEADER + 16].copy_from_slice(&target.sectors.to_ne_bytes());
        put_text(&mut bytes[HEADER + 24..HEADER + TARGET], target.kind)
            .ok_or_else(|| too_long("target name"))?;
        put_text(&mut bytes[HEADER + TARGET..], target.parameters).ok_or_else(|| too_long("parameters"))?;
    }
    Ok(Request { name: name.to_owned(), bytes })
}

fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
}

/// Copies a text with at least one zero behind it; none when it does not fit.
fn put_text(place: &mut [u8], text: &str) -> Option<()> {
    if text.len() >= place.len() || text.contains('\0') {
        return None;
    }
    place[..text.len()].copy_from_slice(text.as_bytes());
    Some(())
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(number)
}

/// The minor number in the kernel's 64-bit form of a device number (`huge_encode_dev`).
fn minor_of(device: u64) -> u32 {
    u32::try_from(device & 0xff | (device >> 12) & 0xfff_ff00).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes and places that the kernel's headers give, as this C library has them where it has them at all.
    #[test]
    fn the_interface_has_the_sizes_of_the_kernel() {
        assert_eq!((HEADER, TARGET), (312, 40));
        let target = Target { sectors: 8, kind: "verity", parameters: "1 a b" };
        let request = request("bascule-root", READ_ONLY, Some(&target)).unwrap();
        assert_eq!(request.bytes[..12], [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(request.bytes[12..24], [0, 16, 0, 0, 56, 1, 0, 0, 1, 0, 0, 0]);
        assert_eq!(request.bytes[28..32], [1, 0, 0, 0]);
        assert_eq!(&request.bytes[48..61], b"bascule-root\0");
        assert_eq!(request.bytes[312..328], [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&request.bytes[336..343], b"verity\0");
        assert_eq!(&request.bytes[352..358], b"1 a b\0");
    }

    #[test]
    fn minor_numbers_beyond_a_byte_are_read() {
        assert_eq!(minor_of(0xfd << 8 | 7), 7);
        assert_eq!(minor_of(0x0010_fd03), 0x103);
    }

    #[test]
    fn texts_that_do_not_fit_are_refused() {
        assert_eq!(request(&"n".repeat(128), 0, None).err().unwrap().operation, "name");
        let target = Target { sectors: 8, kind: "verity", parameters: &"p".repeat(BUFFER) };
        assert_eq!(request("n", 0, Some(&target)).err().unwrap().operation, "parameters");
    }
}
