//! Bodies from disk: bounded memory, exact length, or a broken connection.
//!
//! A piece is read only when the client has taken the one before, so a slow client holds one buffer and no thread. What the page
//! cache has is copied at once; only what the disk has to bring is read by a blocking task. Whoever promises `remaining` bytes
//! and then has fewer breaks the connection: padding would be a lie.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::buffer::Buffer;

/// Something that is read piece by piece.
pub trait Source: Send + Unpin + 'static {
    /// Reads on into `buffer`, as much as there is without waiting. `None`: that is nothing.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    /// Reads on into `buffer`, at least one byte. Blocks.
    ///
    /// # Errors
    /// Whatever the disk says; also [`io::ErrorKind::UnexpectedEof`] when less is there than was promised.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A body of an exact length. An error ends the connection: a client never mistakes a broken body for a whole one.
pub struct Pieces<S> {
    remaining: u64,
    state: State<S>,
}

enum State<S> {
    Ready(S),
    Reading(JoinHandle<(S, io::Result<Bytes>)>),
    Over,
}

impl<S> fmt::Debug for Pieces<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl<S: Source> Pieces<S> {
    /// A body of exactly `length` bytes from `source`.
    pub fn new(source: S, length: u64) -> Self {
        Self { remaining: length, state: State::Ready(source) }
    }

    /// What the page cache has of the next piece, or the start of a task that reads it.
    fn begin(&mut self, mut source: S) -> io::Result<Option<Bytes>> {
        let mut buffer = Buffer::take(self.remaining);
        if let Some(length) = source.read_now(buffer.bytes())? {
            self.state = State::Ready(source);
            return Ok(Some(buffer.filled(length)));
        }
        self.state = State::Reading(tokio::task::spawn_blocking(move || {
            let read = source.read(buffer.bytes());
            (source, read.map(|length| buffer.filled(length)))
        }));
        Ok(None)
    }

    fn deliver(&mut self, piece: Bytes) -> io::Result<Frame<Bytes>> {
        let length = piece.len() as u64;
        if length == 0 || length > self.remaining {
            self.state = State::Over;
            let text = format!("read {length} bytes where {} remain", self.remaining);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.remaining -= length;
        Ok(Frame::data(piece))
    }
}

impl<S: Source> Body for Pieces<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Ready(_) if self.remaining == 0 => return Poll::Ready(None),
                State::Ready(source) => {
                    if let Some(piece) = self.begin(source)? {
                        return Poll::Ready(Some(self.deliver(piece)));
                    }
                }
                State::Reading(mut task) => {
                    let Poll::Ready(joined) = Pin::new(&mut task).poll(cx) else {
                        self.state = State::Reading(task);
                        return Poll::Pending;
                    };
                    let (source, piece) = joined.map_err(io::Error::other)?;
                    self.state = State::Ready(source);
                    return Poll::Ready(Some(piece.and_then(|piece| self.deliver(piece))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Pieces; those in upper case have to be waited for.
    struct Fixed(Vec<&'static str>);

    impl Source for Fixed {
        fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
            match self.0.first() {
                Some(piece) if piece.chars().any(char::is_uppercase) => Ok(None),
                _ => self.read(buffer).map(Some),
            }
        }

        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = if self.0.is_empty() { "" } else { self.0.remove(0) };
            buffer[..piece.len()].copy_from_slice(piece.as_bytes());
            Ok(piece.len())
        }
    }

    async fn collect(pieces: &[&'static str], length: u64) -> io::Result<Bytes> {
        Ok(Pieces::new(Fixed(pieces.to_vec()), length).collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn exactly_what_was_promised_or_an_error() {
        assert_eq!(collect(&["ab", "c"], 3).await.unwrap(), "abc");
        assert_eq!(collect(&["A", "b", "C", "D"], 4).await.unwrap(), "AbCD");
        assert_eq!(collect(&[], 0).await.unwrap(), "");
        for (pieces, length) in [(&["ab"][..], 3), (&["ab", "cd"], 3), (&[], 1), (&["AB"], 3), (&["AB"], 1)] {
            let error = collect(pieces, length).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{pieces:?}");
        }
    }
}
