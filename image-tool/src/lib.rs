//! What `imgtool` is made of: the library holds everything, so that its parsers can be reached by tests that are not its own.
//!
//! One verb is one file below `verbs`.

mod build;
mod casync;
mod ceremony;
mod change;
mod chunks;
mod cli;
mod clock;
mod context;
mod date;
mod destination;
mod diff;
mod erofs_read;
mod expiry;
mod export;
mod fsutil;
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod keys;
mod node;
mod patch;
mod pending;
mod period;
mod plain;
mod proposal;
mod publish;
mod pull;
mod recipe;
mod repo;
mod similar;
mod source;
mod stage;
mod subject;
mod ui;
mod verbs;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

/// What images say they were built by.
const BUILDER: &str = concat!("imgtool ", env!("CARGO_PKG_VERSION"));

/// Parses the command line, runs the verb, and prints an error with its whole chain once.
pub fn main() -> ExitCode {
    let (command, context) = cli::Cli::parse().split();
    match command.run(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.ui.error(&error);
            ExitCode::FAILURE
        }
    }
}
