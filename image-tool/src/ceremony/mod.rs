//! Signing in steps, on several machines: prepare, show, sign, commit.
//!
//! The steps are the same for every ceremony; what it may change is not: whoever runs `imgtool pins sign` expects to sign pins.

pub(crate) mod commit;
pub(crate) mod show;
pub(crate) mod sign;
mod trusted;

use std::path::Path;

use anyhow::ensure;
use serde::Serialize;
use signing::repo::Progress;

use crate::context::Context;
use crate::keys::KeyRole;
use crate::proposal::{Examined, ProposalFile};
use crate::repo::Repo;

/// What is signed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceremony {
    /// Who may sign what, and with it whatever must be signed anew.
    Root,
    /// Images.
    Releases,
    /// Pins and assignments.
    Pins,
}

/// How far a role is.
#[derive(Debug, Serialize)]
pub(crate) struct Lacking {
    role: KeyRole,
    /// Whose signatures: `root`, `the root before`.
    by: String,
    threshold: u32,
    signed: Vec<String>,
    open: Vec<String>,
}

impl Ceremony {
    /// The verb.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Releases => "releases",
            Self::Pins => "pins",
        }
    }

    /// Refuses a proposal that belongs to another ceremony.
    fn check(self, examined: &Examined) -> anyhow::Result<()> {
        let roles = examined.roles();
        let fits = match self {
            // Keys of releases or pins that change need these roles signed anew.
            Self::Root => roles.iter().any(|role| matches!(role, KeyRole::Root | KeyRole::Targets)),
            Self::Releases => roles == [KeyRole::Releases],
            Self::Pins => roles == [KeyRole::Pins],
        };
        let found: Vec<String> = roles.iter().map(ToString::to_string).collect();
        ensure!(
            fits,
            "expected a proposal of `imgtool {} prepare`, found one that changes {}",
            self.verb(),
            found.join(", ")
        );
        Ok(())
    }
}

/// Writes a fresh proposal, and says what comes next.
pub(crate) fn prepared(
    ceremony: Ceremony,
    file: &ProposalFile,
    path: &Path,
    context: &Context,
) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let examined = Examined::on(file.clone(), repo.model(&repo.store()?)?, file.made())?;
    ceremony.check(&examined)?;
    ensure!(!path.exists(), "{} exists already; nothing was overwritten", path.display());
    file.write(path)?;
    let names = repo.keys(&context.passphrases).names()?;
    context.ui.show(&Report::new(path, &examined), |_| {
        let (verb, file) = (ceremony.verb(), path.display());
        format!("{}\nNext: imgtool {verb} sign {file}\n", examined.words(&names))
    })
}

/// A proposal and how far it is.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'e> {
    file: &'e Path,
    changes: &'e [crate::proposal::RoleChange],
    lacking: Vec<Lacking>,
    complete: bool,
}

impl<'e> Report<'e> {
    /// What may be told of the proposal in `file`.
    pub(crate) fn new(file: &'e Path, examined: &'e Examined) -> Self {
        let ids = |ids: Vec<signing::KeyId>| ids.into_iter().map(|id| id.to_string()).collect();
        let lacking = |Progress { role, needs }: Progress| {
            needs.into_iter().map(move |need| Lacking {
                role: role.into(),
                by: need.by,
                threshold: need.threshold,
                signed: ids(need.signed),
                open: ids(need.open),
            })
        };
        Self {
            file,
            changes: examined.changes(),
            lacking: examined.progress().into_iter().flat_map(lacking).collect(),
            complete: examined.is_complete(),
        }
    }
}
