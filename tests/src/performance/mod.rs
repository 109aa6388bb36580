//! `cargo performance`: whole programs against their peers, on a real pair of images that it builds itself.
//!
//! The pair is the role `ha` without and with the security updates of its Debian release. Contenders of one table run in turns, so
//! that a busy moment of the machine hits all of them; a figure is the median of all turns, with the smallest and the largest.

mod contest;
mod pair;
mod peers;
mod picture;
mod publish;
mod report;
mod serve;
mod update;
mod wire;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use self::pair::Pair;
use self::report::Report;
use crate::view::View;
use crate::{build, packages, toolchain, workspace};

/// Turns of each contender.
const RUNS: usize = 5;

/// The tables, in their order.
const TABLES: [&str; 4] = ["wire", "publish", "update", "serve"];

/// Options of `cargo performance`.
#[derive(Debug, Clone)]
pub struct Options {
    tables: Vec<String>,
    runs: usize,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// An unknown option or table.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { tables: Vec::new(), runs: RUNS };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, words.next()) {
                ("--only", Some(table)) if TABLES.contains(table) => options.tables.push((*table).to_owned()),
                ("--only", table) => bail!("--only: expected one of {TABLES:?}, found {table:?}"),
                ("--runs", Some(runs)) => options.runs = runs.parse().context("--runs: expected a number")?,
                _ => bail!("usage: cargo performance [--only TABLE]... [--runs N]; tables: {TABLES:?}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|wanted| wanted == table)
    }
}

/// What every table needs.
struct Bench<'v> {
    view: &'v View,
    /// Scratch space, removed in the end.
    work: PathBuf,
    pair: Pair,
    runs: usize,
}

/// Measures, prints the tables, and keeps them in `target/performance`.
///
/// # Errors
/// A program is missing or fails, or a result is wrong: a contender that is fast and wrong has not taken part.
pub fn run(view: &View, options: &Options) -> Result<()> {
    let stage = |name: &str, work: &dyn Fn() -> Result<String>| -> Result<()> {
        view.begin(name);
        let note = work()?;
        view.done(&note);
        Ok(())
    };
    stage("packages", &|| packages::ensure_for_performance(view))?;
    stage("toolchain", &|| toolchain::ensure_complete(view))?;
    stage("build", &|| {
        build::programs(view)?;
        build::slot_update(view).map(|_| "imgtool, imgserver, imgagent, slot-update".to_owned())
    })?;
    let out = workspace::target_dir().join("performance");
    let work = out.join("work");
    fs::remove_dir_all(&work).or_else(ignore_absent).with_context(|| format!("empty {}", work.display()))?;
    fs::create_dir_all(&work).with_context(|| format!("create {}", work.display()))?;
    view.begin("pair");
    let pair = Pair::make(view, &out)?;
    view.done(&pair.describe());
    let mut report = Report::new(&pair)?;
    let bench = Bench { view, work: work.clone(), pair, runs: options.runs };
    for (name, measure) in [
        ("wire", wire::measure as fn(&Bench<'_>, &mut Report) -> Result<()>),
        ("publish", publish::measure),
        ("update", update::measure),
        ("serve", serve::measure),
    ] {
        if options.wants(name) {
            view.begin(name);
            measure(&bench, &mut report)?;
            view.done("");
        }
    }
    report.keep(&out)?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    println!("{}", report.text());
    Ok(())
}

fn ignore_absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
