//! From an asynchronous request body to a blocking [`Read`], with an explicit end.

use std::io::{self, Read};

use axum::body::Body;
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::http::Error;
use crate::http::request_body::next_piece;

/// Pieces on their way: how far the network may run ahead of the disk.
const AHEAD: usize = 16;

enum Piece {
    Data(Bytes),
    End,
}

/// The asynchronous side.
#[derive(Debug)]
pub struct Feed(mpsc::Sender<Piece>);

/// The blocking side. A feed that is dropped before its end is an error, never the end: half a body is no body.
#[derive(Debug)]
pub struct BodyReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// Both sides.
pub fn channel() -> (Feed, BodyReader) {
    let (sender, pieces) = mpsc::channel(AHEAD);
    (Feed(sender), BodyReader { pieces, current: Bytes::new(), ended: false })
}

impl Feed {
    /// Feeds `body`, which has declared `length` bytes. Ends early when the reader has lost interest.
    ///
    /// # Errors
    /// A body that breaks off, stalls, or has another length.
    pub async fn all(self, body: &mut Body, length: u64) -> Result<(), Error> {
        let mut found = 0;
        while let Some(piece) = next_piece(body).await? {
            found += piece.len() as u64;
            if self.0.send(Piece::Data(piece)).await.is_err() {
                return Ok(());
            }
        }
        if found != length {
            return Err(Error::BadRequest(format!("body: expected {length} bytes, found {found}")));
        }
        let _ = self.0.send(Piece::End).await;
        Ok(())
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(piece)) => self.current = piece,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the body broke off")),
            }
        }
        let length = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_announced_end_is_the_end() {
        let send = |pieces: Vec<Piece>| {
            let (feed, mut reader) = channel();
            for piece in pieces {
                feed.0.blocking_send(piece).unwrap();
            }
            drop(feed);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        };
        let data = |text: &'static str| Piece::Data(Bytes::from_static(text.as_bytes()));
        assert_eq!(send(vec![data("ab"), data(""), data("c"), Piece::End]).unwrap(), b"abc");
        let error = send(vec![data("ab")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
