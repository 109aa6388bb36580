//! A stream that tells its [`Phase`] about bytes received and fails when the other side stops taking ours.
//!
//! A reader that takes one byte a second keeps a plain "time since the last write" timer alive for ever, so the time
//! *blocked* is added up and must buy at least [`STALL_MIN`] bytes per [`Limits::write_stall`](super::Limits::write_stall).

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::limits::STALL_MIN;
use super::phase::Phase;

/// See the module.
#[derive(Debug)]
pub struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    stall: Stall,
}

#[derive(Debug)]
struct Stall {
    limit: Duration,
    /// Time blocked since the last [`STALL_MIN`] bytes went out, without the running block.
    blocked: Duration,
    since: Option<Instant>,
    taken: usize,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Guarded<S> {
    /// Guards `stream`.
    pub fn new(stream: S, phase: Arc<Phase>, write_stall: Duration) -> Self {
        let alarm = Box::pin(tokio::time::sleep(write_stall));
        let stall = Stall { limit: write_stall, blocked: Duration::ZERO, since: None, taken: 0, alarm };
        Self { stream, phase, stall }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let judged = self.stall.judge(cx, written);
        if judged.is_ready() {
            self.phase.sent();
        }
        judged
    }
}

impl Stall {
    fn went_out(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.blocked += since.elapsed();
        }
        self.taken += bytes;
        if self.taken >= STALL_MIN {
            self.taken = 0;
            self.blocked = Duration::ZERO;
        }
    }

    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            self.alarm.as_mut().reset(now + self.limit.saturating_sub(self.blocked));
        }
        ready!(self.alarm.as_mut().poll(cx));
        let text = format!("reader took {} bytes in {:?} of waiting", self.taken, self.limit);
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.went_out(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_blocked(cx).map(Err),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.phase.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const STALL: Duration = Duration::from_secs(20);

    fn pipe() -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        (Guarded::new(ours, Arc::new(Phase::new(STALL, STALL)), STALL), theirs)
    }

    async fn write_all(mut guarded: Guarded<tokio::io::DuplexStream>, bytes: usize) -> io::Result<()> {
        guarded.write_all(&vec![7; bytes]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickling_reader_is_cut() {
        let (ours, mut theirs) = pipe();
        let start = Instant::now();
        let reader = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if theirs.read_u8().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            result = write_all(ours, 1 << 20) => {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
                assert!((20..22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
            }
            () = reader => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_but_living_reader_is_served() {
        let (ours, mut theirs) = pipe();
        let reader = async {
            let mut left = 1 << 20;
            while left > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                left -= theirs.read(&mut [0; 1024]).await.unwrap();
            }
        };
        let (result, ()) = tokio::join!(write_all(ours, 1 << 20), reader);
        result.unwrap();
    }
}
