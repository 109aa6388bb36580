//! `imgtool completions`: shell completions on standard output.

use crate::ui;

const EXAMPLES: &str = "\
Examples:
  imgtool completions bash > /etc/bash_completion.d/imgtool
  imgtool completions zsh > ~/.zfunc/_imgtool";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, mut cli: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "imgtool", &mut script);
    ui::print(&String::from_utf8_lossy(&script))
}
