//! Deaths of a writer, for tests: from the k-th file operation of this thread on, every one fails.
//!
//! Everything after the first failure fails as well, so that no clean-up runs which a killed process would not run either.
//!
//! A power cut is another matter: it takes back what was done and not synced. For that everything done can be noted ([`traced`]) and
//! given to a model of the file system.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Plan {
    /// Operations that still succeed; `None`: all.
    left: Option<usize>,
    log: Vec<(&'static str, PathBuf)>,
    /// What has succeeded, when it is asked for.
    trace: Option<Vec<Done>>,
}

/// An operation that has succeeded.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    Create(PathBuf),
    Append(PathBuf, Vec<u8>),
    WriteAt(PathBuf, u64, Vec<u8>),
    SyncFile(PathBuf),
    SyncDir(PathBuf),
    SyncFilesystem,
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeDir(PathBuf),
}

thread_local! {
    static PLAN: RefCell<Plan> = RefCell::default();
}

/// Runs `work` with the operation number `after` (from 0) and all later ones failing. Returns its result and whether it
/// came that far.
pub(crate) fn dying_after<T>(after: usize, work: impl FnOnce() -> T) -> (T, bool) {
    PLAN.replace(Plan { left: Some(after), ..Plan::default() });
    let result = work();
    let plan = PLAN.take();
    (result, plan.log.len() > after)
}

/// Runs `work` and returns its operations in order.
pub(crate) fn recorded<T>(work: impl FnOnce() -> T) -> (T, Vec<(&'static str, PathBuf)>) {
    PLAN.replace(Plan::default());
    let result = work();
    (result, PLAN.take().log)
}

/// Runs `work` and returns what it has done to the file system.
pub(crate) fn traced<T>(work: impl FnOnce() -> T) -> (T, Vec<Done>) {
    PLAN.replace(Plan { trace: Some(Vec::new()), ..Plan::default() });
    let result = work();
    (result, PLAN.take().trace.unwrap_or_default())
}

/// Notes what has succeeded.
pub(crate) fn done(what: impl FnOnce() -> Done) {
    PLAN.with_borrow_mut(|plan| {
        if let Some(trace) = &mut plan.trace {
            trace.push(what());
        }
    });
}

/// Passes one operation.
pub(crate) fn point(operation: &'static str, path: &Path) -> io::Result<()> {
    PLAN.with_borrow_mut(|plan| {
        plan.log.push((operation, path.to_owned()));
        match &mut plan.left {
            Some(0) => Err(io::Error::new(io::ErrorKind::StorageFull, "injected fault")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    })
}

/// Whether the writer of this thread is dead.
pub(crate) fn is_dead() -> bool {
    PLAN.with_borrow(|plan| plan.left == Some(0) && !plan.log.is_empty())
}
