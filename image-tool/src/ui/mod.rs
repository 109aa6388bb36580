//! What people see: results on standard output, remarks, progress and errors on standard error.
//!
//! With `--json`, standard output carries exactly one JSON document and remarks are silent. Colours appear on a terminal
//! only, and never when `NO_COLOR` is set (anstream decides).

pub(crate) mod progress;
pub(crate) mod size;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use self::progress::Progress;

/// The one way to standard output and standard error.
#[derive(Debug)]
pub(crate) struct Ui {
    json: bool,
}

impl Ui {
    /// For people, or with `json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the result of a verb: `value` as JSON, or the text that `human` makes of it.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        let mut text = if self.json {
            serde_json::to_string_pretty(value).context("write the result as JSON")?
        } else {
            human(value)
        };
        if !text.ends_with('\n') {
            text.push('\n');
        }
        print(&text)
    }

    /// A remark while working, such as what was decided or what comes next.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            anstream::eprintln!("{text}");
        }
    }

    /// Something that is not an error yet and should be looked at.
    pub(crate) fn warn(&self, text: &str) {
        if !self.json {
            anstream::eprintln!("{}: {text}", style::warn("warning"));
        }
    }

    /// The last words of a command that failed: the whole chain, once.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        if self.json {
            let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            anstream::eprintln!("{}", serde_json::json!({ "error": chain.join(": "), "chain": chain }));
            return;
        }
        anstream::eprintln!("{}: {error}", style::bad("error"));
        for cause in error.chain().skip(1) {
            anstream::eprintln!("  {} {cause}", style::dim("because:"));
        }
    }

    /// A bar over `total` bytes; invisible off a terminal and with `--json`.
    pub(crate) fn bytes(&self, what: &str, total: u64) -> Progress {
        Progress::bytes(self.json, what, total)
    }

    /// A line with a spinner for work of unknown length.
    pub(crate) fn spinner(&self, what: &str) -> Progress {
        Progress::spinner(self.json, what)
    }
}

/// Writes to standard output. A reader that has gone away (`imgtool list | head`) is not an error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("write to standard output"),
    }
}
