//! Progress bars: drawn on standard error when it is a terminal, else silent; gone when the work is over.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar or spinner that vanishes when dropped.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn bytes(hidden: bool, what: &str, total: u64) -> Self {
        let template = "{prefix:.bold} {wide_bar:.cyan/dim} {binary_bytes:>10}/{binary_total_bytes} {binary_bytes_per_sec:>13} {eta:>4}";
        Self::new(hidden, Some(total), template, what)
    }

    pub(super) fn spinner(hidden: bool, what: &str) -> Self {
        let progress = Self::new(hidden, None, "{spinner:.cyan} {prefix} {msg:.dim}", what);
        progress.0.enable_steady_tick(Duration::from_millis(100));
        progress
    }

    fn new(hidden: bool, total: Option<u64>, template: &str, what: &str) -> Self {
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        let style = ProgressStyle::with_template(template).expect("the template is a constant of this file");
        bar.set_style(style.progress_chars("━╸─"));
        bar.set_prefix(what.to_owned());
        Self(bar)
    }

    /// Work of `amount` (bytes) is done.
    pub(crate) fn add(&self, amount: u64) {
        self.0.inc(amount);
    }

    /// What is being worked on.
    pub(crate) fn message(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
