//! Turning a connection away politely: 503 with a jittered Retry-After, at a bounded cost.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections that may linger for their 503 at a time; above that they are just closed.
const LINGERING_MAX: usize = 256;
/// How long a turned-away client may take to read its answer.
const LINGER: Duration = Duration::from_secs(2);
/// Bounds of Retry-After in seconds. The spread keeps nodes that were turned away together from coming back together.
const RETRY_AFTER: std::ops::RangeInclusive<u32> = 2..=10;

/// A random Retry-After in seconds.
pub fn retry_after() -> u32 {
    let span = RETRY_AFTER.end() - RETRY_AFTER.start() + 1;
    // Without random numbers everybody gets the longest wait.
    getrandom::u32().map_or(*RETRY_AFTER.end(), |random| RETRY_AFTER.start() + random % span)
}

/// Turns connections away.
#[derive(Debug, Clone)]
pub struct Shed {
    lingering: Arc<Semaphore>,
}

impl Default for Shed {
    fn default() -> Self {
        Self { lingering: Arc::new(Semaphore::new(LINGERING_MAX)) }
    }
}

impl Shed {
    /// Answers 503 and closes; in the background.
    pub fn turn_away(&self, stream: TcpStream, reason: &str) {
        let Ok(permit) = self.lingering.clone().try_acquire_owned() else { return };
        let body = format!("busy: {reason}\n");
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: {}\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            retry_after(),
            body.len()
        );
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LINGER, say(stream, &answer)).await;
            drop(permit);
        });
    }
}

/// Writes, then reads until the client closes: closing over unread bytes would reset the connection and lose the answer.
async fn say(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_spread() {
        let values: std::collections::BTreeSet<u32> = (0..200).map(|_| retry_after()).collect();
        assert!(values.iter().all(|seconds| RETRY_AFTER.contains(seconds)));
        assert!(values.len() > 3, "{values:?}");
    }
}
