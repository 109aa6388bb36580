//! `imgserver completions`.

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell.
    shell: clap_complete::Shell,
}

/// Writes the completions.
///
/// # Errors
/// Standard output is closed.
pub fn run(args: &Args, mut cli: clap::Command) -> anyhow::Result<()> {
    // Collected first: the generator panics on a closed pipe.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "imgserver", &mut text);
    std::io::Write::write_all(&mut std::io::stdout(), &text)?;
    Ok(())
}
