//! Where a connection stands, and until when it may stand there.
//!
//! ```text
//!                      accepted
//!                         ▼
//! waiting ──first byte──▶ head ──head complete──▶ busy ──answer written──▶ waiting
//!    │ idle time over     │ head time over
//!    ▼                    ▼
//!   cut                  cut
//! ```
//! hyper has one timer for both; a node that writes a chunk to its disk needs a longer one between requests than a
//! client that sends its head byte by byte deserves. While busy, reading a body and writing the answer have their own limits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Head { until: Instant },
    Busy,
}

/// Which time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overdue {
    /// No request came.
    #[error("idle")]
    Idle,
    /// The head did not arrive in time.
    #[error("the request head did not arrive in time")]
    Head,
}

/// The phase of one connection, shared by its stream, its service and its watchdog.
#[derive(Debug)]
pub struct Phase {
    state: watch::Sender<State>,
    head: Duration,
    idle: Duration,
}

impl Phase {
    /// A fresh connection: silence counts as a head that does not arrive.
    pub fn new(head: Duration, idle: Duration) -> Self {
        Self { state: watch::Sender::new(State::Head { until: Instant::now() + head }), head, idle }
    }

    /// Bytes came in.
    pub fn received(&self) {
        let waiting = matches!(*self.state.borrow(), State::Waiting { .. });
        if waiting {
            self.state.send_replace(State::Head { until: Instant::now() + self.head });
        }
    }

    /// A head is complete.
    pub fn busy(&self) {
        self.state.send_replace(State::Busy);
    }

    /// The answer is written.
    pub fn idle(&self) {
        self.state.send_replace(State::Waiting { until: Instant::now() + self.idle });
    }

    /// Resolves when the connection has overstayed a phase.
    pub async fn overdue(&self) -> Overdue {
        let mut state = self.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            let (until, overdue) = match now {
                State::Waiting { until } => (until, Overdue::Idle),
                State::Head { until } => (until, Overdue::Head),
                State::Busy => {
                    // The sender lives in `self`: this cannot fail while we are polled.
                    let _ = state.changed().await;
                    continue;
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => return overdue,
                _ = state.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(5);
    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_time() {
        let phase = Phase::new(HEAD, IDLE);
        let start = Instant::now();
        assert_eq!(phase.overdue().await, Overdue::Head);
        assert_eq!(start.elapsed().as_secs(), 5);

        let start = Instant::now();
        phase.idle();
        assert_eq!(phase.overdue().await, Overdue::Idle);
        assert_eq!(start.elapsed().as_secs(), 60);

        let start = Instant::now();
        phase.idle();
        phase.received();
        tokio::time::advance(Duration::from_secs(4)).await;
        phase.received();
        assert_eq!(phase.overdue().await, Overdue::Head);
        assert_eq!(start.elapsed().as_secs(), 5);

        phase.busy();
        assert!(tokio::time::timeout(IDLE * 100, phase.overdue()).await.is_err());
    }
}
