//! One TCP connection of the guest to a port on the host's loopback, over standard input and output.
//!
//! The virtual machine's network is closed (`restrict=on`): nothing of the guest leaves this machine. QEMU's user network
//! starts this relay for every connection to the forwarded guest address, which is the only way out.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;

/// Relays until one side closes. An unreachable server ends the relay at once: the guest sees a closed connection.
pub fn run(port: u16) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    server.set_nodelay(true)?;
    let to_server = server.try_clone()?;
    thread::spawn(move || {
        // Errors mean that one side is gone; the other direction notices too.
        let _ = copy(&mut io::stdin().lock(), &mut &to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    copy(&mut &server, &mut io::stdout().lock())
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..len])?;
        to.flush()?;
    }
}
