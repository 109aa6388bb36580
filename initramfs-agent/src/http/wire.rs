//! A TCP connection whose every wait is bounded by a limit on silence and by the deadline of the exchange.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::{BaseUrl, HttpError};

/// The end of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    start: Instant,
    total: Duration,
    silence: Duration,
}

impl Deadline {
    /// From now on: `total` for everything, `silence` for each single wait.
    pub fn new(total: Duration, silence: Duration) -> Self {
        Self { start: Instant::now(), total, silence }
    }

    /// How long the next wait may last.
    ///
    /// # Errors
    /// [`HttpError::Deadline`] when the time is over.
    pub fn wait(&self) -> Result<Duration, HttpError> {
        match self.total.checked_sub(self.start.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left.min(self.silence)),
            _ => Err(HttpError::Deadline(self.total)),
        }
    }
}

/// An open connection with a read buffer.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

/// Size of the read buffer in bytes.
const BUFFER: usize = 64 << 10;

impl Wire {
    /// Connects to the first address of the host that answers.
    ///
    /// # Errors
    /// [`HttpError::Resolve`], [`HttpError::Connect`], [`HttpError::Deadline`].
    pub fn connect(url: &BaseUrl, timeout: Duration, deadline: &Deadline) -> Result<Self, HttpError> {
        let resolve = |source| HttpError::Resolve { host: url.host().to_owned(), source };
        let addresses = (url.host(), url.port()).to_socket_addrs().map_err(resolve)?;
        let mut last = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout.min(deadline.wait()?)) {
                Ok(stream) => {
                    let error = |source| HttpError::Connect { address: address.to_string(), source };
                    stream.set_nodelay(true).map_err(error)?;
                    return Ok(Self { stream, buffer: Vec::new(), start: 0 });
                }
                Err(source) => last = Some(HttpError::Connect { address: address.to_string(), source }),
            }
        }
        Err(last.unwrap_or_else(|| resolve(io::Error::from(io::ErrorKind::NotFound))))
    }

    /// Sends all bytes.
    ///
    /// # Errors
    /// [`HttpError::Io`], [`HttpError::Deadline`].
    pub fn send(&mut self, bytes: &[u8], deadline: &Deadline) -> Result<(), HttpError> {
        let io = |source| HttpError::Io { during: "sending the request", source };
        self.stream.set_write_timeout(Some(deadline.wait()?)).map_err(io)?;
        self.stream.write_all(bytes).map_err(io)
    }

    /// Bytes that have arrived; empty at the end of the connection.
    ///
    /// # Errors
    /// [`HttpError::Io`], [`HttpError::Deadline`].
    pub fn fill(&mut self, during: &'static str, deadline: &Deadline) -> Result<&[u8], HttpError> {
        if self.start == self.buffer.len() {
            let io = |source| HttpError::Io { during, source };
            self.buffer.resize(BUFFER, 0);
            self.start = 0;
            let read = loop {
                let wait = deadline.wait()?;
                self.stream.set_read_timeout(Some(wait)).map_err(io)?;
                match self.stream.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            if let Err(source) = read {
                deadline.wait()?;
                return Err(io(source));
            }
        }
        Ok(&self.buffer[self.start..])
    }

    /// Marks bytes of [`Self::fill`] as used.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }

    /// Whether bytes lie here that belong to no answer.
    pub fn has_surplus(&self) -> bool {
        self.start < self.buffer.len()
    }
}
