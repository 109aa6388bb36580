//! The step that only looks.

use std::path::PathBuf;

use super::trusted::{TrustedArgs, names};
use super::{Ceremony, Report};
use crate::context::Context;
use crate::proposal::ProposalFile;

/// Show in words what a proposal changes, and which signatures it lacks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The proposal
    file: PathBuf,

    #[command(flatten)]
    trusted: TrustedArgs,
}

/// Shows.
pub(crate) fn run(ceremony: Ceremony, args: &Args, context: &Context) -> anyhow::Result<()> {
    let examined = args.trusted.examine(ProposalFile::read(&args.file)?, context)?;
    ceremony.check(&examined)?;
    let names = names(context)?;
    context.ui.show(&Report::new(&args.file, &examined), |_| examined.words(&names))
}
