//! The step that signs: with a key, and without a repository if need be.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use signing::{KeyId, Signer};

use super::trusted::{TrustedArgs, names, repository};
use super::{Ceremony, Report};
use crate::context::Context;
use crate::keys::{self, CommandKey, KeyNames, KeyRole};
use crate::proposal::{Examined, ProposalFile, progress};
use crate::ui;

/// Show in words what would be signed, ask, and sign a proposal with the keys that are here
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The proposal; the signatures are put into it
    file: PathBuf,

    #[command(flatten)]
    trusted: TrustedArgs,

    /// Sign with this private key; may be given several times [default: the repository's keys and signers]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,

    /// Sign with the keys of the ssh-agent
    #[arg(long)]
    ssh_agent: bool,

    /// Sign by running this program: message on its standard input, 64 bytes or 128 hex digits on its standard output
    #[arg(long, value_name = "PROGRAM", requires = "public")]
    command: Option<String>,

    /// The public key that --command signs with
    #[arg(long, value_name = "FILE", requires = "command")]
    public: Option<PathBuf>,

    /// Sign without asking; everything is shown all the same
    #[arg(long)]
    yes: bool,
}

/// Shows, asks, signs.
pub(crate) fn run(ceremony: Ceremony, args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut examined = args.trusted.examine(ProposalFile::read(&args.file)?, context)?;
    ceremony.check(&examined)?;
    let names = names(context)?;
    if !context.ui.is_json() {
        ui::print(&examined.words(&names))?;
    }
    if examined.is_complete() {
        context.ui.note("Nothing was signed: it has all its signatures already");
        return report(ceremony, args, &examined, &names, context);
    }
    if !args.yes {
        confirm()?;
    }
    let added = sign(args, &mut examined, context).context("nothing was signed")?;
    if added > 0 {
        examined.file().write(&args.file)?;
    }
    report(ceremony, args, &examined, &names, context)
}

fn report(
    ceremony: Ceremony,
    args: &Args,
    examined: &Examined,
    names: &KeyNames,
    context: &Context,
) -> anyhow::Result<()> {
    context.ui.show(&Report::new(&args.file, examined), |_| {
        let next = match examined.is_complete() {
            true => format!(
                "Complete. Next, at the repository: imgtool {} commit {}",
                ceremony.verb(),
                args.file.display()
            ),
            false => "Next: take it to the holder of another key".to_owned(),
        };
        format!("\n{}{next}\n", progress(&examined.progress(), names))
    })
}

/// Signs every role with every key that may and has not; how many signatures there are now that were not there before.
fn sign(args: &Args, examined: &mut Examined, context: &Context) -> anyhow::Result<usize> {
    let open = open(examined);
    let mut added = 0;
    let given = given(args, &open, context)?;
    let mut problem = None;
    for (role, wanted) in &open {
        let own;
        let signers: Vec<&dyn Signer> = if args.names_keys() {
            given
                .iter()
                .map(|signer| &**signer)
                .filter(|signer| wanted.contains(&signer.public().id()))
                .collect()
        } else {
            match here(*role, wanted, examined, context) {
                Ok(found) => own = found,
                Err(error) => {
                    problem.get_or_insert(error);
                    continue;
                }
            }
            own.iter().map(|signer| &**signer).collect()
        };
        for signer in signers {
            if args.names_keys() {
                added += usize::from(examined.sign(*role, signer)?);
            } else if !examined.is_signed(*role) {
                // Another key may do.
                match examined.sign(*role, signer) {
                    Ok(new) => added += usize::from(new),
                    Err(error) => drop(problem.get_or_insert(error)),
                }
            }
        }
    }
    match (added, problem) {
        (0, Some(problem)) => Err(problem),
        (0, None) => bail!(
            "none of the keys here may sign this, or they have signed it: expected one of {}",
            list(&open)
        ),
        (_, Some(problem)) if !examined.is_complete() => {
            context.ui.warn(&format!("not signed here: {problem:#}"));
            Ok(added)
        }
        _ => Ok(added),
    }
}

impl Args {
    fn names_keys(&self) -> bool {
        !self.keys.is_empty() || self.ssh_agent || self.command.is_some()
    }
}

/// The roles that lack signatures, and whose.
fn open(examined: &Examined) -> Vec<(KeyRole, Vec<KeyId>)> {
    let roles = examined.progress().into_iter().map(|progress| {
        let open = progress.needs.into_iter().flat_map(|need| need.open).collect::<Vec<_>>();
        (KeyRole::from(progress.role), open)
    });
    roles.filter(|(_, open)| !open.is_empty()).collect()
}

/// The signers that the command line names. A key that has no say is an error: it is not the key that the person meant.
fn given(
    args: &Args,
    open: &[(KeyRole, Vec<KeyId>)],
    context: &Context,
) -> anyhow::Result<Vec<Box<dyn Signer>>> {
    let wanted: Vec<KeyId> = open.iter().flat_map(|(_, open)| open.clone()).collect();
    let mut signers: Vec<Box<dyn Signer>> = Vec::new();
    for path in &args.keys {
        let key = keys::load_secret(path, &context.passphrases)?;
        let id = key.public().id();
        ensure!(
            wanted.contains(&id),
            "{}: key {id} may not sign this, or has signed it: expected one of {}",
            path.display(),
            list(open)
        );
        signers.push(Box::new(key));
    }
    if args.ssh_agent {
        signers.extend(keys::from_agent(&wanted, None)?);
    }
    if let (Some(program), Some(public)) = (&args.command, &args.public) {
        let public = keys::load_public(public, &context.passphrases)?;
        signers.push(Box::new(CommandKey::new(public, vec![program.clone()])));
    }
    Ok(signers)
}

/// The signers of the repository.
fn here(
    role: KeyRole,
    wanted: &[KeyId],
    examined: &Examined,
    context: &Context,
) -> anyhow::Result<Vec<Box<dyn Signer>>> {
    let repo = repository(context)?;
    let repo = repo.context("expected keys: name them with --key, --ssh-agent or --command")?;
    repo.keys(&context.passphrases).signers(role, wanted, examined.base())
}

fn list(open: &[(KeyRole, Vec<KeyId>)]) -> String {
    let role = |(role, ids): &(KeyRole, Vec<KeyId>)| {
        let ids: Vec<&str> = ids.iter().map(KeyId::as_str).collect();
        format!("{} for {role}", ids.join(" or "))
    };
    if open.is_empty() { "none".to_owned() } else { open.iter().map(role).collect::<Vec<_>>().join(", ") }
}

/// Asks the person at the terminal.
fn confirm() -> anyhow::Result<()> {
    let stdin = io::stdin();
    ensure!(
        stdin.is_terminal(),
        "nothing was signed: there is no terminal to ask; look at the proposal (show), then sign it with --yes"
    );
    anstream::eprint!("\nSign this? [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("read the answer")?;
    ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was signed: the answer was no");
    Ok(())
}
