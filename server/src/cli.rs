//! The command line.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::{completions, keys, man, serve, token};

/// Serves immutable OS images, signed metadata and boot scripts to nodes, and takes publications from admins.
#[derive(Debug, Parser)]
#[command(name = "imgserver", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Show or replace the admin's token.
    Token(token::Args),
    /// Make or show the keys that sign snapshot and timestamp.
    Keys(keys::Args),
    /// Write completions for a shell to standard output.
    Completions(completions::Args),
    /// Write the manual page to standard output.
    Man,
}

const EXAMPLES: &str = "\
Examples:
  imgserver keys new --data /srv/bascule --json > online.json     then: imgtool init --online-keys online.json
  imgserver serve --data /srv/bascule
  imgserver serve --data /srv/bascule --listen 10.0.0.1:7080 --admin 127.0.0.1:7081 --log json
  imgserver token show --data /srv/bascule
  imgserver completions bash > /etc/bash_completion.d/imgserver

Nodes boot from http://HOST:7080/boot.ipxe; imgtool publishes to http://HOST:7081 with the token in DIR/admin.token.";

impl Cli {
    /// Does it.
    ///
    /// # Errors
    /// Whatever went wrong, with its causes.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Token(args) => token::run(&args),
            Command::Keys(args) => keys::run(&args),
            Command::Completions(args) => completions::run(&args, Self::command()),
            Command::Man => man::run(Self::command()),
        }
    }
}
