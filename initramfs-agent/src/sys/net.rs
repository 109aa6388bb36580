//! Interface ioctls (netdevice(7)) and the socket option that ties a socket to an interface.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

/// A socket to configure interfaces with.
#[derive(Debug)]
pub struct Control(UdpSocket);

impl Control {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel has no IPv4.
    pub fn open() -> io::Result<Self> {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map(Self)
    }

    /// Brings an interface up.
    ///
    /// # Errors
    /// No such interface, no permission, or the driver's error.
    pub fn up(&self, name: &str) -> io::Result<()> {
        let mut request = interface(name)?;
        self.ioctl(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the call before filled in the flags member of the union.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | i16::try_from(libc::IFF_UP).unwrap_or(1);
        self.ioctl(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Sets the address and the network of an interface; the kernel adds the route to that network.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn set_address(&self, name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut request = interface(name)?;
        request.ifr_ifru.ifru_addr = socket_address(address);
        self.ioctl(libc::SIOCSIFADDR, &mut request)?;
        request.ifr_ifru.ifru_netmask = socket_address(netmask(prefix));
        self.ioctl(libc::SIOCSIFNETMASK, &mut request)
    }

    /// Adds a route: to one host through the interface itself, or the default route through a gateway. A route that is
    /// there already is fine.
    ///
    /// # Errors
    /// The gateway cannot be reached.
    pub fn add_route(&self, name: &str, to: Route) -> io::Result<()> {
        let mut device = interface(name)?.ifr_name;
        // SAFETY: rtentry is a plain C structure for which all zeroes is valid: unspecified addresses, null pointers.
        let mut entry: libc::rtentry = unsafe { MaybeUninit::zeroed().assume_init() };
        let (destination, gateway, prefix) = match to {
            Route::Host(host) => (host, None, 32),
            Route::Default(gateway) => (Ipv4Addr::UNSPECIFIED, Some(gateway), 0),
        };
        entry.rt_dst = socket_address(destination);
        entry.rt_genmask = socket_address(netmask(prefix));
        entry.rt_flags = libc::RTF_UP;
        if let Some(gateway) = gateway {
            entry.rt_gateway = socket_address(gateway);
            entry.rt_flags |= libc::RTF_GATEWAY;
        }
        entry.rt_dev = device.as_mut_ptr();
        // SAFETY: the entry and the device name that it points to live until the call returns; the kernel only reads them.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCADDRT as libc::Ioctl, &raw const entry) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()).or_else(|error| match error.raw_os_error() {
                Some(libc::EEXIST) => Ok(()),
                _ => Err(error),
            }),
        }
    }

    fn ioctl(&self, number: impl TryInto<u32>, request: &mut libc::ifreq) -> io::Result<()> {
        let number = number.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: the request is a complete ifreq with a terminated name; the kernel reads and writes only within it.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), number as libc::Ioctl, &raw mut *request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// A route to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To one host on the link.
    Host(Ipv4Addr),
    /// To everywhere else, through this gateway.
    Default(Ipv4Addr),
}

/// Ties a socket to an interface, so that it sends and receives there even without an address.
///
/// # Errors
/// No such interface, or no permission.
pub fn bind_to_device(socket: impl AsFd, name: &str) -> io::Result<()> {
    let name = name.as_bytes();
    let length =
        libc::socklen_t::try_from(name.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the pointer is valid for the length given, and the kernel copies the name.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            name.as_ptr().cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The mask of a prefix length, 0 to 32.
pub fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}

fn interface(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is a plain C structure for which all zeroes is valid: an empty name and a zero address.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(request)
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or_default();
    let mut data = [0; 14];
    for (place, byte) in data[2..].iter_mut().zip(address.octets()) {
        *place = byte.cast_signed();
    }
    libc::sockaddr { sa_family: family, sa_data: data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_the_prefix() {
        assert_eq!(netmask(0), Ipv4Addr::new(0, 0, 0, 0));
        assert_eq!(netmask(20), Ipv4Addr::new(255, 255, 240, 0));
        assert_eq!(netmask(32), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        for name in ["", "sixteen-letters!", "a\0b"] {
            assert_eq!(interface(name).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
