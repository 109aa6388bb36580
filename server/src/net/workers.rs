//! Threads that each run the connections they are given, from the first byte to the last.
//!
//! One runtime for all cores moves a connection between them and wakes one for the other with every event; a connection that
//! stays on its core costs a third less. What may wait for a disk runs on the blocking threads of the runtime that asks.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Most threads: beyond, the network card is the limit.
const THREADS_MAX: usize = 16;
/// Blocking threads of each runtime: as many reads as a disk does well at a time.
const BLOCKING_MAX: usize = 16;

/// The threads; they end when this is dropped, and whatever still runs on them with them.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<Worker>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// Its end stops the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each core.
    ///
    /// # Errors
    /// The operating system gives no thread, or no descriptors for its events.
    pub fn start() -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores.min(THREADS_MAX)).map(Worker::start).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// The runtime for the next connection: each gets as many as the others.
    pub fn next(&self) -> &Handle {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        &self.threads[number % self.threads.len()].runtime
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_MAX).build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("delivery-{number}"));
        let thread = thread.spawn(move || {
            // Either the order to stop, or the end of whoever could give it.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_around_and_ends_with_them() {
        let workers = Workers::start().unwrap();
        let count = workers.threads.len();
        let mut names = Vec::new();
        for _ in 0..count * 2 {
            let name = async { std::thread::current().name().unwrap_or_default().to_owned() };
            names.push(workers.next().spawn(name).await.unwrap());
        }
        assert_eq!(names[..count], names[count..]);
        let endless = workers.next().spawn(std::future::pending::<()>());
        drop(workers);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
