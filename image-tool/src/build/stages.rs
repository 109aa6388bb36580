//! Times the stages of a build and shows how far it is.

use std::time::Instant;

use serde::Serialize;

use crate::ui::Ui;
use crate::ui::progress::Progress;

/// A finished stage.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stage {
    /// Its name.
    pub(crate) name: &'static str,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What came out, for people.
    pub(crate) note: String,
}

/// The stages so far.
#[derive(Debug)]
pub(crate) struct Stages<'u> {
    ui: &'u Ui,
    done: Vec<Stage>,
}

impl<'u> Stages<'u> {
    /// None yet.
    pub(crate) fn new(ui: &'u Ui) -> Self {
        Self { ui, done: Vec::new() }
    }

    /// Runs a stage of unknown length. It returns its result and a note.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        stage: impl FnOnce(&Progress) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let progress = self.ui.spinner(name);
        self.time(name, progress, stage)
    }

    /// Runs a stage over `total` bytes.
    pub(crate) fn run_bytes<T>(
        &mut self,
        name: &'static str,
        total: u64,
        stage: impl FnOnce(&Progress) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let progress = self.ui.bytes(name, total);
        self.time(name, progress, stage)
    }

    fn time<T>(
        &mut self,
        name: &'static str,
        progress: Progress,
        stage: impl FnOnce(&Progress) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let start = Instant::now();
        let (result, note) = stage(&progress)?;
        drop(progress);
        let seconds = start.elapsed().as_secs_f64();
        self.ui.note(&format!("{name:<12} {seconds:>6.1} s  {note}"));
        // Milliseconds are all that means anything.
        let seconds = (seconds * 1000.0).round() / 1000.0;
        self.done.push(Stage { name, seconds, note });
        Ok(result)
    }

    /// All stages.
    pub(crate) fn finish(self) -> Vec<Stage> {
        self.done
    }
}
