//! The `imgserver` program; everything is in the library.

use std::process::ExitCode;

use clap::Parser;
use server::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imgserver: {error:#}");
            ExitCode::FAILURE
        }
    }
}
