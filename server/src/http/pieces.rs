//! Bodies from disk: bounded memory, exact length, or a broken connection.
//!
//! A piece is read by a blocking task only when the client has taken the one before, so a slow client holds one buffer and no
//! thread. Whoever promises `remaining` bytes and then has fewer breaks the connection: padding would be a lie.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes read at a time: large enough for disk and socket, small enough for thousands of connections.
pub const PIECE: usize = 128 << 10;

/// Something that is read piece by piece by blocking calls.
pub trait Source: Send + 'static {
    /// Reads the next piece, at most [`PIECE`] bytes and at least one.
    ///
    /// # Errors
    /// Whatever the disk says; also [`io::ErrorKind::UnexpectedEof`] when less is there than was promised.
    fn read(&mut self) -> io::Result<Bytes>;
}

/// A body of an exact length. An error ends the connection: a client never mistakes a broken body for a whole one.
#[derive(Debug)]
pub struct Pieces<S> {
    remaining: u64,
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Ready(S),
    Reading(JoinHandle<(S, io::Result<Bytes>)>),
    Over,
}

impl<S: Source + Unpin> Pieces<S> {
    /// A body of exactly `length` bytes from `source`.
    pub fn new(source: S, length: u64) -> Self {
        Self { remaining: length, state: State::Ready(source) }
    }
}

impl<S: Source + Unpin> Body for Pieces<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Ready(_) if self.remaining == 0 => return Poll::Ready(None),
                State::Ready(mut source) => {
                    self.state = State::Reading(tokio::task::spawn_blocking(move || {
                        let piece = source.read();
                        (source, piece)
                    }));
                }
                State::Reading(mut task) => {
                    let joined = match Pin::new(&mut task).poll(cx) {
                        Poll::Ready(joined) => joined,
                        Poll::Pending => {
                            self.state = State::Reading(task);
                            return Poll::Pending;
                        }
                    };
                    let (source, piece) = joined.map_err(io::Error::other)?;
                    let piece = piece?;
                    let length = piece.len() as u64;
                    if length == 0 || length > self.remaining {
                        let text = format!("read {length} bytes where {} remain", self.remaining);
                        return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))));
                    }
                    self.remaining -= length;
                    self.state = State::Ready(source);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
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

    struct Fixed(Vec<Bytes>);

    impl Source for Fixed {
        fn read(&mut self) -> io::Result<Bytes> {
            if self.0.is_empty() { Ok(Bytes::new()) } else { Ok(self.0.remove(0)) }
        }
    }

    async fn collect(pieces: &[&'static str], length: u64) -> io::Result<Bytes> {
        let source = Fixed(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect());
        Ok(Pieces::new(source, length).collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn exactly_what_was_promised_or_an_error() {
        assert_eq!(collect(&["ab", "c"], 3).await.unwrap(), "abc");
        assert_eq!(collect(&[], 0).await.unwrap(), "");
        for (pieces, length) in [(&["ab"][..], 3), (&["ab", "cd"], 3), (&[], 1)] {
            let error = collect(pieces, length).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
