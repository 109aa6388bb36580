//! Deaths of a writer, for tests: from the k-th file operation of this thread on, every one fails.
//!
//! Everything after the first failure fails as well, so that no clean-up runs which a killed process would not run either.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Plan {
    /// Operations that still succeed; `None`: all.
    left: Option<usize>,
    log: Vec<(&'static str, PathBuf)>,
}

thread_local! {
    static PLAN: RefCell<Plan> = RefCell::default();
}

/// Runs `work` with the operation number `after` (from 0) and all later ones failing. Returns its result and whether it
/// came that far.
pub(crate) fn dying_after<T>(after: usize, work: impl FnOnce() -> T) -> (T, bool) {
    PLAN.replace(Plan { left: Some(after), log: Vec::new() });
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
