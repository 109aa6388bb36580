//! Contenders that run in turns, each as a whole process.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::view::View;

/// Somebody who does the work.
pub(super) struct Contender<'a> {
    /// Name in the table.
    pub(super) name: String,
    /// What must be so before each turn; not measured.
    pub(super) prepare: Box<dyn Fn() -> Result<()> + 'a>,
    /// The work.
    pub(super) command: Box<dyn Fn() -> Command + 'a>,
}

impl<'a> Contender<'a> {
    /// One that needs no preparation.
    pub(super) fn new(name: &str, command: impl Fn() -> Command + 'a) -> Self {
        Self { name: name.to_owned(), prepare: Box::new(|| Ok(())), command: Box::new(command) }
    }

    /// The same with a preparation.
    pub(super) fn after(self, prepare: impl Fn() -> Result<()> + 'a) -> Self {
        Self { prepare: Box::new(prepare), ..self }
    }
}

/// What a contender took.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Its name.
    pub(super) name: String,
    /// Seconds of each turn, ascending.
    pub(super) seconds: Vec<f64>,
    /// Largest resident set of any turn, in KiB.
    pub(super) peak_kib: u64,
    /// What the last turn printed.
    pub(super) stdout: String,
}

impl Sample {
    /// The median in seconds.
    pub(super) fn median(&self) -> f64 {
        self.seconds[self.seconds.len() / 2]
    }

    /// `1.23 (1.20 to 1.31)`.
    pub(super) fn text(&self) -> String {
        let (first, last) = (self.seconds[0], self.seconds[self.seconds.len() - 1]);
        format!("{:.2} ({first:.2} to {last:.2})", self.median())
    }
}

/// Lets all contenders work in turns, `runs` times.
pub(super) fn hold(view: &View, runs: usize, contenders: &[Contender<'_>]) -> Result<Vec<Sample>> {
    ensure!(runs > 0, "expected at least one run");
    let empty = |contender: &Contender<'_>| Sample {
        name: contender.name.clone(),
        seconds: Vec::new(),
        peak_kib: 0,
        stdout: String::new(),
    };
    let mut samples: Vec<Sample> = contenders.iter().map(empty).collect();
    for _ in 0..runs {
        for (contender, sample) in contenders.iter().zip(&mut samples) {
            (contender.prepare)().with_context(|| format!("prepare {}", contender.name))?;
            let turn = turn(view, &contender.name, &(contender.command)())?;
            sample.seconds.push(turn.seconds);
            sample.peak_kib = sample.peak_kib.max(turn.peak_kib);
            sample.stdout = turn.stdout;
        }
    }
    samples.iter_mut().for_each(|sample| sample.seconds.sort_by(f64::total_cmp));
    Ok(samples)
}

struct Turn {
    seconds: f64,
    peak_kib: u64,
    stdout: String,
}

/// GNU time runs it: wall clock and the largest resident set of the process and its children.
fn turn(view: &View, name: &str, work: &Command) -> Result<Turn> {
    let mut command = Command::new("/usr/bin/time");
    command.args(["--format", "%e %M", "--"]).arg(work.get_program()).args(work.get_args());
    if let Some(dir) = work.get_current_dir() {
        command.current_dir(dir);
    }
    let output = process::run(&command, view)?.success(name)?;
    let line = output.stderr.trim().lines().next_back().unwrap_or_default().to_owned();
    let (_, peak) = line.split_once(' ').with_context(|| format!("{name}: time printed {line:?}"))?;
    Ok(Turn { seconds: output.took.as_secs_f64(), peak_kib: peak.parse()?, stdout: output.stdout })
}

/// `program` with these arguments.
pub(super) fn command<const N: usize>(program: impl AsRef<Path>, args: [&dyn AsRef<Path>; N]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(args.iter().map(|arg| (*arg).as_ref()));
    command
}
