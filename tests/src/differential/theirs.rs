//! The other client.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository, Updater};

use super::repository::{Files, NOW};
use super::{PATHS, Step, Verdict};

struct Memory(Files);

impl Repository for Memory {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let file = self.0.get(name).cloned();
        Box::pin(async move {
            match file {
                Some(bytes) if bytes.len() as u64 > max_length => Err(Error::transport("too long")),
                file => Ok(file),
            }
        })
    }

    fn fetch_target<'a>(&'a self, _path: &'a str, _max_length: u64) -> FetchFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

pub(crate) fn verdict(files: &Files) -> Verdict<String> {
    let now = jiff::Timestamp::from_second(NOW.0).unwrap();
    let mut steps = Vec::new();
    let mut updater = match Updater::new(Memory(files.clone()), &files["1.root.json"]) {
        Ok(updater) => updater,
        Err(error) => return vec![Err(error.to_string())],
    };
    steps.push(Ok(Step::Root(updater.trusted().root().version)));
    if let Err(error) = ready(updater.refresh(now)) {
        steps.push(Err(error.to_string()));
        return steps;
    }
    let trusted = updater.trusted();
    let (timestamp, snapshot) = (trusted.timestamp().unwrap().version, trusted.snapshot().unwrap().version);
    steps.push(Ok(Step::Refresh([trusted.root().version, timestamp, snapshot])));
    for path in PATHS {
        let found = ready(updater.get_target_info(path, now));
        let target = |found: sigstore_tuf::TargetFile| {
            (found.length, found.hashes.get("sha256").cloned().unwrap_or_default())
        };
        steps.push(found.map(|found| Step::Target(found.map(target))).map_err(|error| error.to_string()));
    }
    steps
}

/// The output of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("files in memory are there at once"),
    }
}
