//! What a person sees while it runs: a list of stages with their times, and below it the latest line of output.
//!
//! On a terminal the latest line is overwritten in place; elsewhere only stages and notes are printed, one line each.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shortest time between two updates of the status line.
const REFRESH: Duration = Duration::from_millis(80);

/// The progress view; shared by reference between threads.
#[derive(Debug)]
pub struct View {
    terminal: bool,
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Stages that have begun, the innermost last.
    open: Vec<(String, Instant)>,
    shown: Option<Instant>,
}

impl View {
    /// A view on standard output.
    pub fn new() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            begin: Instant::now(),
            state: Mutex::new(State { open: Vec::new(), shown: None }),
        }
    }

    /// Shows the beginning of a stage, which may be a part of the current one.
    pub fn begin(&self, name: &str) {
        let mut state = self.lock();
        let gap = indent(state.open.len());
        if !state.open.is_empty() && self.terminal {
            // What was overwritten so far becomes the heading of its parts.
            println!();
        }
        state.open.push((name.to_owned(), Instant::now()));
        self.line(&mut state, &format!("{gap}·  {name}"), self.terminal);
    }

    /// Ends the current stage with a tick; `detail` is what a person wants to know of it. Gives the time it took.
    pub fn done(&self, detail: &str) -> Duration {
        self.end("✔", detail)
    }

    /// Ends the current stage with a cross.
    pub fn failed(&self, detail: &str) -> Duration {
        self.end("✘", detail)
    }

    /// Ends all stages that are still open with a cross.
    pub fn all_failed(&self) {
        while !self.lock().open.is_empty() {
            self.failed("");
        }
    }

    fn end(&self, mark: &str, detail: &str) -> Duration {
        let mut state = self.lock();
        let Some((name, since)) = state.open.pop() else { return Duration::ZERO };
        let took = since.elapsed();
        let colon = if detail.is_empty() { "" } else { ": " };
        let text = format!("{}{mark}  {name}{colon}{detail} ({})", indent(state.open.len()), seconds(took));
        self.line(&mut state, &text, false);
        took
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        let mut state = self.lock();
        self.line(&mut state, text, false);
    }

    /// The latest line of what is running; overwritten by the next one.
    pub fn status(&self, text: &str) {
        let mut state = self.lock();
        if !self.terminal || text.is_empty() || state.shown.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        state.shown = Some(Instant::now());
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        let gap = indent(state.open.len().saturating_sub(1));
        let stage = state.open.last().map_or("", |(name, _)| name.as_str());
        // Without line wrap (7l) a long line is cut at the edge instead of scrolling.
        print!("\r\x1b[2K\x1b[?7l{gap}·  {stage} \x1b[2m{clean}\x1b[0m\x1b[?7h");
        let _ = io::stdout().flush();
    }

    /// Time since the view was made.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    fn line(&self, state: &mut MutexGuard<'_, State>, text: &str, transient: bool) {
        state.shown = None;
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        let end = if transient { "" } else { "\n" };
        print!("{clear}{text}{end}");
        let _ = io::stdout().flush();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not hide the rest of the output.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

fn indent(depth: usize) -> String {
    " ".repeat(2 + 3 * depth)
}

/// `1.2 s`, `3 min 04 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// `12.3 MB`, decimal.
pub fn megabytes(bytes: u64) -> String {
    if bytes < 100_000 { format!("{bytes} B") } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}
