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
//!
//! Stream, service and watchdog are polled by one task, the watchdog last: it sees every state that a poll leaves behind, so
//! nobody has to wake it, and its timer is set anew only when the time that is left has become shorter.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

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
    state: Mutex<State>,
    head: Duration,
    idle: Duration,
}

impl Phase {
    /// A fresh connection: silence counts as a head that does not arrive.
    pub fn new(head: Duration, idle: Duration) -> Self {
        Self { state: Mutex::new(State::Head { until: Instant::now() + head }), head, idle }
    }

    /// Bytes came in.
    pub fn received(&self) {
        self.change(|state| match state {
            State::Waiting { .. } => State::Head { until: Instant::now() + self.head },
            other => other,
        });
    }

    /// Bytes went out: the end of an answer that its reader takes slowly is no idleness.
    pub fn sent(&self) {
        self.change(|state| match state {
            State::Waiting { .. } => State::Waiting { until: Instant::now() + self.idle },
            other => other,
        });
    }

    /// A head is complete.
    pub fn busy(&self) {
        self.change(|_| State::Busy);
    }

    /// The answer is written.
    pub fn idle(&self) {
        self.change(|_| State::Waiting { until: Instant::now() + self.idle });
    }

    fn change(&self, change: impl FnOnce(State) -> State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = change(*state);
    }

    /// Resolves when the connection has overstayed a phase. To be polled by the task that changes the phase, after it did.
    pub fn overdue(&self) -> Watchdog<'_> {
        Watchdog { phase: self, timer: None }
    }
}

/// See [`Phase::overdue`].
#[derive(Debug)]
pub struct Watchdog<'p> {
    phase: &'p Phase,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Future for Watchdog<'_> {
    type Output = Overdue;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Overdue> {
        loop {
            let state = *self.phase.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (until, overdue) = match state {
                State::Waiting { until } => (until, Overdue::Idle),
                State::Head { until } => (until, Overdue::Head),
                State::Busy => return Poll::Pending,
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            // A timer that is too early asks again when it rings.
            if timer.deadline() > until {
                timer.as_mut().reset(until);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= until {
                return Poll::Ready(overdue);
            }
            timer.as_mut().reset(until);
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

    #[tokio::test(start_paused = true)]
    async fn one_watchdog_follows_every_change() {
        let phase = Phase::new(HEAD, IDLE);
        let mut watchdog = phase.overdue();
        let start = Instant::now();
        let mut wait =
            async |seconds| tokio::time::timeout(Duration::from_secs(seconds), &mut watchdog).await;
        phase.busy();
        assert!(wait(600).await.is_err());
        phase.idle();
        assert!(wait(59).await.is_err());
        // What still goes out keeps the connection.
        phase.sent();
        assert!(wait(59).await.is_err());
        // Shorter than the time that was set.
        phase.received();
        phase.sent();
        assert_eq!(wait(600).await, Ok(Overdue::Head));
        assert_eq!(start.elapsed().as_secs(), 600 + 59 + 59 + 5);
    }
}
