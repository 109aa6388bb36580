//! What a machine trusts when it is shown a proposal.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use signing::limits::ROOT_MAX_LEN;

use crate::clock;
use crate::context::Context;
use crate::fsutil::read_limited;
use crate::keys::KeyNames;
use crate::proposal::{Examined, ProposalFile};
use crate::repo::{Repo, config};

/// Options of the steps that need no repository.
#[derive(Debug, clap::Args)]
pub(crate) struct TrustedArgs {
    /// A root metadata file that this machine trusts [default: the repository's present state]
    #[arg(long, value_name = "ROOT.JSON")]
    pub(crate) root: Option<PathBuf>,
}

impl TrustedArgs {
    /// Examines `file` against what is trusted here.
    pub(crate) fn examine(&self, file: ProposalFile, context: &Context) -> anyhow::Result<Examined> {
        let now = clock::now()?;
        if let Some(path) = &self.root {
            let root = read_limited(path, ROOT_MAX_LEN)?;
            return Examined::from_root(file, &root, now)
                .with_context(|| format!("examine the proposal from root {}", path.display()));
        }
        match repository(context)? {
            Some(repo) => Examined::on(file, repo.model(&repo.store()?)?, now),
            None => bail!(
                "nothing is trusted here: name a root metadata file with --root (root.json of the repository, brought by hand or compared by its SHA-256)"
            ),
        }
    }
}

/// The repository, where there is one.
pub(crate) fn repository(context: &Context) -> anyhow::Result<Option<Repo>> {
    if context.repo.join(config::FILE).is_file() { Repo::open(&context.repo).map(Some) } else { Ok(None) }
}

/// Names of keys, where there is a repository that has some.
pub(crate) fn names(context: &Context) -> anyhow::Result<KeyNames> {
    let repo = repository(context)?;
    repo.map_or(Ok(KeyNames::new()), |repo| repo.keys(&context.passphrases).names())
}
