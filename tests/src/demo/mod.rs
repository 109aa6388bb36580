//! `cargo demo`: the main job from end to end, on a real Debian image in a real (virtual) machine.
//!
//! Five stages, each a file: install, update, rollback, down, offline. The same code is the end-to-end test of
//! `cargo verify`.

mod down;
mod install;
mod measure;
mod offline;
pub mod recipes;
mod rollback;
mod update;
pub mod world;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::process::Lifetime;
use crate::view::View;
use crate::{build, packages, toolchain, workspace};
use world::World;

/// Options of `cargo demo`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Leave server and machine running.
    pub keep: bool,
    /// Do not look for packages and toolchain parts.
    pub no_install: bool,
    /// Use the programs as they were built last.
    pub no_build: bool,
}

impl Options {
    /// Reads the command line.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--keep" => options.keep = true,
                "--no-install" => options.no_install = true,
                "--no-build" => options.no_build = true,
                other => bail!("cargo demo: unknown option {other:?}"),
            }
        }
        Ok(options)
    }
}

/// One stage of the demo.
type Stage = (&'static str, fn(&mut World<'_>) -> Result<String>);

const STAGES: [Stage; 5] = [
    ("a node installs ha@1 from the network and is healthy", install::run),
    ("ha@2 is pinned: the node fetches the difference and moves to it", update::run),
    ("ha@3 fails its health check: the node goes back to ha@2 by itself", rollback::run),
    ("pin back to ha@1: the node goes down to it", down::run),
    ("the server is stopped: the node boots from its disk", offline::run),
];

/// Runs the demo with its preparations.
pub fn run(view: &View, options: Options) -> Result<()> {
    view.note("Bascule demo");
    if !options.no_install {
        prepare(view)?;
    }
    if !options.no_build {
        view.begin("programs");
        let account = build::programs(view)?;
        view.done(&account);
    }
    let lifetime = if options.keep { Lifetime::Free } else { Lifetime::Bound };
    let mut world = World::make(view, &directory(), lifetime)?;
    stages(&mut world)?;
    view.note(&format!("\nimgtool nodes\n\n{}", world.repo.text(&["nodes"])?));
    let node = world.node()?.id().to_owned();
    view.note(&format!("imgtool nodes {node}\n\n{}", world.repo.text(&["nodes", &node])?));
    view.note(&format!("Measured\n{}", world.report.table()));
    view.note(&format!("Console of the node: {}", world.console_log().display()));
    view.note(&format!("Numbers: {}", workspace::target_dir().join("bascule-report.json").display()));
    if options.keep {
        world.keep()?;
    }
    Ok(())
}

/// Installs system packages and toolchain parts, as stages.
pub fn prepare(view: &View) -> Result<()> {
    view.begin("system packages");
    let account = packages::ensure_installed(view)?;
    view.done(&account);
    view.begin("Rust toolchain");
    let account = toolchain::ensure_complete(view)?;
    view.done(&account);
    Ok(())
}

/// Runs the five stages; returns how many passed.
pub fn stages(world: &mut World<'_>) -> Result<usize> {
    let view = world.view;
    for (name, stage) in STAGES {
        view.begin(name);
        match stage(world) {
            Ok(account) => {
                let took = view.done(&account);
                world.report.time(&format!("stage: {name}"), took);
            }
            Err(error) => {
                view.failed("");
                world.show_console();
                return Err(error.context(name));
            }
        }
        world.report.write()?;
    }
    Ok(STAGES.len())
}

fn directory() -> PathBuf {
    workspace::root().join("demo")
}
