//! The serial console of a machine: every line with its time, kept in a file, awaited by what it says.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longest line kept, in bytes.
const LINE_MAX: usize = 4096;

/// Most lines kept in memory; a machine that prints more is broken.
const LINES_MAX: usize = 200_000;

/// Lines after which waiting for anything else is pointless.
const FATAL: &[&str] = &["Kernel panic - not syncing", "Attempted to kill init", "You are in emergency mode"];

/// A line and when it was complete.
#[derive(Debug, Clone)]
pub struct Line {
    /// Time since the machine's start.
    pub at: Duration,
    /// Without escape sequences and line end.
    pub text: String,
}

/// A position in the console; a wait looks at lines behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

/// A machine's console.
#[derive(Debug, Clone)]
pub struct Console {
    shared: Arc<Shared>,
    log: PathBuf,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    lines: Vec<Line>,
    closed: bool,
}

impl Console {
    /// Connects to the socket and reads it in the background until it closes.
    pub fn connect(socket: &Path, log: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
        let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { lines: Vec::new(), closed: false }),
            changed: Condvar::new(),
        });
        let console = Self { shared: Arc::clone(&shared), log: log.to_owned() };
        thread::spawn(move || {
            read(stream, file, &shared);
            shared.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            shared.changed.notify_all();
        });
        Ok(console)
    }

    /// The position behind the latest line.
    pub fn mark(&self) -> Mark {
        Mark(self.lock().lines.len())
    }

    /// The beginning.
    pub fn start(&self) -> Mark {
        Mark(0)
    }

    /// Where the console is kept.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The latest line, for a progress view.
    pub fn latest(&self) -> Option<Line> {
        self.lock().lines.iter().rev().find(|line| !line.text.trim().is_empty()).cloned()
    }

    /// All lines behind `from` so far.
    pub fn lines(&self, from: Mark) -> Vec<Line> {
        self.lock().lines[from.0..].to_vec()
    }

    /// Waits for a line behind `from` that contains one of `texts`; gives it and the position behind it.
    ///
    /// Fails after `limit`, when the machine is gone, or when the guest gave up; the error shows the latest lines.
    pub fn wait(&self, from: Mark, texts: &[&str], limit: Duration) -> Result<(Line, Mark)> {
        let end = Instant::now() + limit;
        let mut next = from.0;
        let mut state = self.lock();
        loop {
            while let Some(line) = state.lines.get(next) {
                next += 1;
                if texts.iter().any(|text| line.text.contains(text)) {
                    return Ok((line.clone(), Mark(next)));
                }
                if FATAL.iter().any(|text| line.text.contains(text)) {
                    let found = line.text.clone();
                    drop(state);
                    bail!("console: expected {texts:?}, but the guest gave up: {found}\n{}", self.tail(60));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.closed {
                let why = if state.closed { "the machine ended" } else { "time limit" };
                drop(state);
                bail!("console: no line with {texts:?} ({why}, {limit:?})\n{}", self.tail(60));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a kernel that has not started its first program is silent for `limit`; `false` when the machine ended.
    pub(super) fn wait_for_silent_kernel(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let mut seen = state.lines.len();
        loop {
            if state.closed {
                return false;
            }
            let (guard, waited) =
                self.shared.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() && state.lines.len() == seen && is_starting(&state.lines) {
                return true;
            }
            seen = state.lines.len();
        }
    }

    /// Adds a line of our own.
    pub(super) fn add(&self, text: &str) {
        let mut state = self.lock();
        let at = state.lines.last().map_or(Duration::ZERO, |line| line.at);
        state.lines.push(Line { at, text: text.to_owned() });
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Fails when the machine is gone or when the guest gave up behind `from`; gives the position looked at.
    pub fn alive(&self, from: Mark) -> Result<Mark> {
        let state = self.lock();
        let bad = state.lines[from.0..].iter().find(|line| FATAL.iter().any(|text| line.text.contains(text)));
        if let Some(line) = bad {
            bail!("the guest gave up: {}", line.text);
        }
        if state.closed {
            bail!("the machine ended");
        }
        Ok(Mark(state.lines.len()))
    }

    /// The last `count` lines with their times, and where the rest is.
    pub fn tail(&self, count: usize) -> String {
        let state = self.lock();
        let begin = state.lines.len().saturating_sub(count);
        let mut text = format!("-- last lines of {}:\n", self.log.display());
        for line in &state.lines[begin..] {
            text += &format!("[{:9.3}] {}\n", line.at.as_secs_f64(), line.text);
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the latest boot's kernel has begun, and nothing but it has printed since.
fn is_starting(lines: &[Line]) -> bool {
    let of_kernel = |line: &&Line| line.text.is_empty() || line.text.starts_with('[');
    let begin = |line: &Line| line.text.contains("] Linux version ");
    lines.iter().rev().take_while(of_kernel).any(begin)
}

fn read(mut stream: UnixStream, mut file: File, shared: &Shared) {
    let begin = Instant::now();
    let mut pending = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let len = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        for &byte in &buffer[..len] {
            if byte != b'\n' && pending.len() < LINE_MAX {
                pending.push(byte);
                continue;
            }
            let line = Line { at: begin.elapsed(), text: clean(&pending) };
            pending.clear();
            // The log is for people; a full disk must not end the test here.
            let _ = writeln!(file, "[{:9.3}] {}", line.at.as_secs_f64(), line.text);
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.lines.len() < LINES_MAX {
                state.lines.push(line);
            }
        }
        shared.changed.notify_all();
    }
}

/// Text without escape sequences (`ESC [ … letter`, `ESC letter`) and control characters.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                chars.next();
            }
            '\x1b' => {
                chars.next();
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_starting_until_something_else_prints() {
        let lines = |texts: &[&str]| -> Vec<Line> {
            texts.iter().map(|text| Line { at: Duration::ZERO, text: (*text).to_owned() }).collect()
        };
        let kernel = ["iPXE 1.0", "[    0.000000] Linux version 6.1", "[    1.2] clocksource: Switched", ""];
        assert!(is_starting(&lines(&kernel)));
        assert!(!is_starting(&lines(&kernel[..1])));
        let agent = "bascule [  1.500] init: agent 0.1.0";
        assert!(!is_starting(&lines(&[kernel[1], agent, "[    3.0] EXT4-fs: mounted"])));
    }

    #[test]
    fn escape_sequences_are_removed() {
        assert_eq!(clean(b"\x1b[0;1miPXE\x1b[0m 1.0 \x1bc\x1b[?7lx\r"), "iPXE 1.0 x");
        assert_eq!(clean(b"[  \x1b[0;32mOK  \x1b[0m] Reached target"), "[  OK  ] Reached target");
        assert_eq!(clean(b"\x1b"), "");
        assert_eq!(clean(b"\x1b["), "");
    }
}
