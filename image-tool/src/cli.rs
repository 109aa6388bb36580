//! The command line: options that every verb has, and the list of verbs.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::context::Context;
use crate::keys::{PassphraseArgs, Passphrases};
use crate::ui::Ui;
use crate::verbs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  imgtool init --remote http://boot.example:7081 --token-file admin.token
  imgtool build ha --version 1
  imgtool sign ha@1
  imgtool publish ha@1
  imgtool pin cluster ha@1
  imgtool assign --default cluster
  imgtool diff ha@1 ha@2";

/// Build, sign, publish and pin immutable OS images for cluster nodes.
#[derive(Debug, Parser)]
#[command(name = "imgtool", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// The repository directory: keys, builds and the local store
    #[arg(long, global = true, env = "BASCULE_REPO", value_name = "DIR", default_value = "bascule")]
    #[arg(help_heading = "Global options")]
    repo: PathBuf,

    /// Print JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,

    /// When to use colours (NO_COLOR is honoured)
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(help_heading = "Global options")]
    color: Color,

    #[command(flatten)]
    passphrase: PassphraseArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Cli {
    /// Applies the colour choice and separates the verb from what all verbs share.
    pub(crate) fn split(self) -> (Command, Context) {
        match self.color {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
        (
            self.command,
            Context {
                repo: self.repo,
                ui: Ui::new(self.json),
                passphrases: Arc::new(Passphrases::new(self.passphrase)),
            },
        )
    }
}

/// The verbs, in the order in which they are used.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(verbs::init::Args),
    Build(verbs::build::Args),
    Sign(verbs::sign::Args),
    Patch(verbs::patch::Args),
    Publish(verbs::publish::Args),
    Pull(verbs::pull::Args),
    Pin(verbs::pin::Args),
    Unpin(verbs::unpin::Args),
    Assign(verbs::assign::Args),
    Unassign(verbs::unassign::Args),
    Renew(verbs::renew::Args),
    List(verbs::list::Args),
    Inspect(verbs::inspect::Args),
    Diff(verbs::diff::Args),
    Verify(verbs::verify::Args),
    Gc(verbs::gc::Args),
    Scrub(verbs::scrub::Args),
    Chunk(verbs::chunk::Args),
    Export(verbs::export::Args),
    Import(verbs::import::Args),
    #[command(visible_alias = "status")]
    Nodes(verbs::nodes::Args),
    Node(verbs::node::Args),
    Token(verbs::token::Args),
    Root(verbs::root::Args),
    Releases(verbs::releases::Args),
    Pins(verbs::pins::Args),
    Trust(verbs::trust::Args),
    Key(verbs::key::Args),
    Completions(verbs::completions::Args),
    Man(verbs::man::Args),
}

impl Command {
    /// Runs the verb.
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Init(args) => verbs::init::run(args, context),
            Self::Build(args) => verbs::build::run(args, context),
            Self::Sign(args) => verbs::sign::run(args, context),
            Self::Patch(args) => verbs::patch::run(args, context),
            Self::Publish(args) => verbs::publish::run(args, context),
            Self::Pull(args) => verbs::pull::run(args, context),
            Self::Pin(args) => verbs::pin::run(args, context),
            Self::Unpin(args) => verbs::unpin::run(args, context),
            Self::Assign(args) => verbs::assign::run(args, context),
            Self::Unassign(args) => verbs::unassign::run(args, context),
            Self::Renew(args) => verbs::renew::run(args, context),
            Self::List(args) => verbs::list::run(args, context),
            Self::Inspect(args) => verbs::inspect::run(args, context),
            Self::Diff(args) => verbs::diff::run(args, context),
            Self::Verify(args) => verbs::verify::run(args, context),
            Self::Gc(args) => verbs::gc::run(args, context),
            Self::Scrub(args) => verbs::scrub::run(args, context),
            Self::Chunk(args) => verbs::chunk::run(args, context),
            Self::Export(args) => verbs::export::run(args, context),
            Self::Import(args) => verbs::import::run(args, context),
            Self::Nodes(args) => verbs::nodes::run(args, context),
            Self::Node(args) => verbs::node::run(args, context),
            Self::Token(args) => verbs::token::run(args, context),
            Self::Root(args) => verbs::root::run(args, context),
            Self::Releases(args) => verbs::releases::run(args, context),
            Self::Pins(args) => verbs::pins::run(args, context),
            Self::Trust(args) => verbs::trust::run(args, context),
            Self::Key(args) => verbs::key::run(args, context),
            Self::Completions(args) => verbs::completions::run(args, Cli::command()),
            Self::Man(args) => verbs::man::run(args, context, Cli::command()),
        }
    }
}
