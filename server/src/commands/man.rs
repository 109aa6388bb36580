//! `imgserver man`.

/// Writes the manual page.
///
/// # Errors
/// Standard output is closed.
pub fn run(cli: clap::Command) -> anyhow::Result<()> {
    clap_mangen::Man::new(cli).render(&mut std::io::stdout())?;
    Ok(())
}
