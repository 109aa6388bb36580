//! Running a program with a time limit and bounded output.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How much of the output is kept, in bytes: its end, where the reason usually stands.
const OUTPUT_MAX: usize = 2048;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The program.
    pub program: &'a OsStr,
    /// Its arguments.
    pub arguments: &'a [&'a OsStr],
    /// Directory that becomes the program's root.
    pub root: Option<&'a Path>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed because its time was over.
    pub timed_out: Option<Duration>,
    /// The end of standard output and standard error together.
    pub output: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.timed_out, self.code, self.signal) {
            (Some(limit), ..) => write!(f, "not finished after {} s", limit.as_secs_f32())?,
            (None, Some(code), _) => write!(f, "exit code {code}")?,
            (None, None, signal) => write!(f, "ended by signal {}", signal.unwrap_or(0))?,
        }
        match self.output.lines().map(str::trim).rfind(|line| !line.is_empty()) {
            Some(line) => write!(f, ": {}", line.chars().take(160).collect::<String>()),
            None => Ok(()),
        }
    }
}

/// Runs a program in a process group of its own and waits. When the time is over, the whole group is killed. Output is read all
/// the time, so that a program that prints without end is not held up by it, and only its end is kept.
///
/// # Errors
/// The program cannot be started, or the kernel lacks pidfd (Linux 5.3).
pub fn run(command: &Command<'_>, limit: Duration) -> io::Result<Outcome> {
    let (mut reader, writer) = io::pipe()?;
    let mut build = std::process::Command::new(command.program);
    build
        .args(command.arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    if let Some(root) = command.root {
        crate::sys::process::chroot_before_exec(&mut build, root)?;
    }
    let child = build.spawn()?;
    // The builder holds the write end of the pipe.
    drop(build);
    rustix::io::ioctl_fionbio(&reader, true)?;
    wait(child, &mut reader, limit)
}

fn wait(mut child: Child, reader: &mut PipeReader, limit: Duration) -> io::Result<Outcome> {
    let start = Instant::now();
    let pid = Pid::from_child(&child);
    let mut output = Vec::new();
    let ended = watch(pid, reader, &mut output, limit, start);
    let timed_out = matches!(ended, Ok(false)).then_some(limit);
    if !matches!(ended, Ok(true)) {
        let _gone_already = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait()?;
    ended?;
    drain(reader, &mut output)?;
    Ok(Outcome {
        code: status.code(),
        signal: status.signal(),
        timed_out,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// Waits for the end of the process, true, or of the time, false.
fn watch(
    pid: Pid,
    reader: &mut PipeReader,
    output: &mut Vec<u8>,
    limit: Duration,
    start: Instant,
) -> io::Result<bool> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut open = true;
    loop {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        let wait = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let ended = {
            let mut fds = [PollFd::new(&process, PollFlags::IN), PollFd::new(reader, PollFlags::IN)];
            let watched = if open { 2 } else { 1 };
            match poll(&mut fds[..watched], Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            fds[0].revents().contains(PollFlags::IN)
        };
        if ended {
            return Ok(true);
        }
        open = open && drain(reader, output)?;
    }
}

/// Reads what is there, at most one MiB at a time; false at the end of the pipe.
fn drain(reader: &mut PipeReader, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    for _ in 0..64 {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                output.extend_from_slice(&buffer[..count]);
                let surplus = output.len().saturating_sub(OUTPUT_MAX);
                output.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Outcome {
        let arguments = [OsStr::new("-c"), OsStr::new(script)];
        run(&Command { program: OsStr::new("/bin/sh"), arguments: &arguments, root: None }, limit).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_end_of_a_program_is_told() {
        let outcome = shell("echo out; echo err >&2; exit 3", LONG);
        assert_eq!((outcome.code, outcome.output.as_str()), (Some(3), "out\nerr\n"));
        assert_eq!(outcome.to_string(), "exit code 3: err");
        assert_eq!(shell("kill -TERM $$", LONG).to_string(), "ended by signal 15");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_its_children() {
        let start = Instant::now();
        let outcome = shell("sleep 1000 & echo started; wait", Duration::from_millis(200));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(outcome.timed_out, Some(Duration::from_millis(200)));
        assert_eq!(outcome.signal, Some(9));
        assert_eq!(outcome.to_string(), "not finished after 0.2 s: started");
    }

    #[test]
    fn endless_output_is_read_and_dropped() {
        let outcome =
            shell("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; echo last", LONG);
        assert_eq!(outcome.code, Some(0));
        assert_eq!(outcome.output.len(), OUTPUT_MAX);
        assert!(outcome.output.ends_with("last\n"));
    }

    #[test]
    fn a_child_that_stays_behind_does_not_hold_the_wait() {
        let outcome = shell("(sleep 3; :) & exit 0", LONG);
        assert_eq!((outcome.code, outcome.timed_out), (Some(0), None));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let command = Command { program: OsStr::new("/nonexistent"), arguments: &[], root: None };
        assert_eq!(run(&command, LONG).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
