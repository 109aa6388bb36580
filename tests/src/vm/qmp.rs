//! QEMU's control socket: JSON lines; one command at a time, its answer awaited.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Most lines (events) that may come before an answer.
const LINES_MAX: usize = 1000;

/// A connection that is ready for commands.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and negotiates.
    pub fn connect(path: &Path, limit: Duration) -> Result<Self> {
        let begin = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if begin.elapsed() > limit => {
                    return Err(error).with_context(|| format!("connect to {}", path.display()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
        };
        stream.set_read_timeout(Some(limit))?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        let greeting = qmp.line()?;
        if greeting.get("QMP").is_none() {
            bail!("QMP: expected a greeting, found {greeting}");
        }
        qmp.command("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Runs a command without arguments and waits for its answer; events in between are passed over.
    pub fn command(&mut self, name: &str) -> Result<Value> {
        let mut line = json!({"execute": name}).to_string();
        line.push('\n');
        self.reader.get_mut().write_all(line.as_bytes()).with_context(|| format!("QMP {name}"))?;
        for _ in 0..LINES_MAX {
            let mut answer = self.line().with_context(|| format!("QMP {name}"))?;
            if let Some(error) = answer.get("error") {
                bail!("QMP {name}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
        bail!("QMP {name}: no answer within {LINES_MAX} lines");
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).context("read from the control socket")? == 0 {
            bail!("QEMU closed its control socket");
        }
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))
    }
}
