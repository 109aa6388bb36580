//! Processes that end when the harness ends, whatever way it ends.
//!
//! A [`Process`] is killed by its own id when dropped; when the harness itself is killed, the kernel sends the signal
//! (`setpriv --pdeathsig`, util-linux). A [`run`] waits for the end of a program and keeps what it printed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::view::View;

/// Whether a process may outlive the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Ends with the harness.
    Bound,
    /// May be [left running](Process::leave).
    Free,
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Option<Child>,
}

impl Process {
    /// Starts `program`; its output goes to `log`.
    ///
    /// The calling thread must live as long as a bound process: the kernel watches the thread, not the program.
    pub fn start(
        name: &str,
        program: &Path,
        args: &[OsString],
        lifetime: Lifetime,
        log: &Path,
    ) -> Result<Self> {
        let mut command = match lifetime {
            Lifetime::Free => Command::new(program),
            Lifetime::Bound => bound("KILL", program.as_os_str()),
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("start {name} ({})", program.display()))?;
        Ok(Self { name: name.to_owned(), child: Some(child) })
    }

    /// Its process id; none after it was ended.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The exit status if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().with_context(|| format!("wait for {}", self.name)),
            None => Ok(None),
        }
    }

    /// Asks it to end (SIGTERM) and waits for it; after `limit` it is killed and that is an error.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().with_context(|| format!("{} is not running", self.name))?;
        // The shell's own `kill`: no package needed.
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status()?;
        ensure!(sent.success(), "send SIGTERM to {} ({})", self.name, child.id());
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        bail!("{} did not end within {limit:?} of SIGTERM", self.name);
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only when it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Leaves it running after the harness ends; only for [`Lifetime::Free`].
    pub fn leave(mut self) {
        self.child = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a program printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Itself when the program ended with 0, else an error with the last lines that it printed.
    pub fn success(self, what: &str) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let all: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        let tail = all[all.len().saturating_sub(30)..].join("\n  ");
        bail!("{what}: {}\n  {tail}", self.status);
    }
}

/// `program`, to be sent `signal` when the thread that starts it ends.
fn bound(signal: &str, program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Runs `command` to its end; each line it prints is shown as the current status. It ends (SIGTERM) with the harness.
pub fn run(command: &Command, view: &View) -> Result<Output> {
    let what = format!("run {}", command.get_program().display());
    let begin = Instant::now();
    let mut child = bound("TERM", command.get_program());
    child.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        child.current_dir(dir);
    }
    let mut child = child
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| what.clone())?;
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let (stdout, stderr) = thread::scope(|scope| {
        let errors = scope.spawn(|| collect(stderr, view));
        (collect(stdout, view), errors.join().expect("collect does not panic"))
    });
    let status = child.wait().with_context(|| what.clone())?;
    Ok(Output { status, stdout, stderr, took: begin.elapsed() })
}

fn collect(from: impl Read, view: &View) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(len) if len > 0) {
        let piece = String::from_utf8_lossy(&line);
        view.status(piece.trim_end());
        text.push_str(&piece);
        line.clear();
    }
    text
}

/// Appends the output of a program to a log file.
pub fn log(output: &Output, what: &str, path: &Path) -> Result<()> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    write!(file, "== {what}: {} in {:.1?}\n{}{}", output.status, output.took, output.stdout, output.stderr)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(lifetime: Lifetime) -> Process {
        let log = std::env::temp_dir().join(format!("bascule-sleeper-{}.log", std::process::id()));
        let sleeper =
            Process::start("sleep", "/bin/sleep".as_ref(), &["1000".into()], lifetime, &log).unwrap();
        std::fs::remove_file(log).unwrap_or_default();
        sleeper
    }

    fn exists(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[test]
    fn a_dropped_process_is_gone() {
        for lifetime in [Lifetime::Bound, Lifetime::Free] {
            let process = sleeper(lifetime);
            let id = process.id().unwrap();
            assert!(exists(id));
            drop(process);
            assert!(!exists(id));
        }
    }

    #[test]
    fn a_bound_process_ends_with_the_thread_that_started_it() {
        let mut process = thread::spawn(|| {
            let process = sleeper(Lifetime::Bound);
            // `setpriv` must have made way for the program before the thread ends.
            let id = process.id().unwrap();
            while std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap().trim() != "sleep" {
                thread::yield_now();
            }
            process
        })
        .join()
        .unwrap();
        let begin = Instant::now();
        while process.ended().unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            thread::yield_now();
        }
    }

    #[test]
    fn a_process_is_asked_to_end() {
        let mut process = sleeper(Lifetime::Free);
        assert!(!process.stop(Duration::from_secs(20)).unwrap().success());
        assert_eq!(process.id(), None);
    }

    #[test]
    fn a_failed_program_shows_what_it_printed() {
        let view = View::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let output = run(&command, &view).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\n", "two\n"));
        let message = output.success("the script").unwrap_err().to_string();
        assert!(message.contains("the script") && message.contains("two"), "{message}");
    }
}
