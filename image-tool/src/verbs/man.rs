//! `imgtool man`: manual pages, one a verb.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use crate::context::Context;
use crate::fsutil::{PUBLIC, write_atomic};
use crate::ui::size::plural;

const EXAMPLES: &str = "\
Examples:
  imgtool man --out /usr/local/share/man/man1";

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Directory for the pages; made if it does not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    pages: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context, cli: clap::Command) -> anyhow::Result<()> {
    fs::create_dir_all(&args.out).with_context(|| format!("create directory {}", args.out.display()))?;
    let mut command = cli.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write_pages(&command, args, &mut pages)?;
    context.ui.show(&Report { pages }, |report| {
        format!("{} written to {}", plural(report.pages.len(), "page"), args.out.display())
    })
}

fn write_pages(command: &clap::Command, args: &Args, pages: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .manual("Bascule")
        .render(&mut text)
        .context("render a manual page")?;
    let path = args.out.join(format!("{name}.1"));
    write_atomic(&path, &text, PUBLIC)?;
    pages.push(path);
    command.get_subcommands().try_for_each(|verb| write_pages(verb, args, pages))
}
