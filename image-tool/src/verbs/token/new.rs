//! `imgtool token new`: the secret is made here; the server gets a hash of it.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use fleet_protocol::join::{JoinToken, NewToken, TTL_MAX, TokenView, USES_MAX};
use image_format::{Group, Sha256};
use serde::Serialize;

use crate::context::Context;
use crate::destination::To;
use crate::fsutil::read_limited;
use crate::repo::Repo;

const EXAMPLES: &str = "\
Examples:
  imgtool token new --ttl 1h
  imgtool token new --ttl 8h --uses 40 --group cluster
  imgtool token new --json | jq -r .token

Give the token to new nodes as bascule.join=TOKEN on their kernel command line, or let them boot from
http://SERVER:7080/boot.ipxe?join=TOKEN. It is a secret until it is used up or expired: it is shown only now.";

/// Largest root read, in bytes; as the verifier's limit.
const ROOT_MAX: u64 = 512 << 10;

/// Make a join token and print it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How long it lives: a number with s, m, h or d, at most 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
    ttl: u64,

    /// How many nodes it lets in
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MAX)))]
    uses: u32,

    /// The group that its nodes join, where signed assignments do not name them
    #[arg(long, value_name = "GROUP")]
    group: Option<Group>,

    /// The root that nodes embed [default: root.json of the repository]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,

    #[command(flatten)]
    to: To,
}

#[derive(Debug, Serialize)]
struct Made {
    /// The secret text.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let path = match &args.root {
        Some(path) => path.clone(),
        None => Repo::open(&context.repo)
            .context("the token carries the fingerprint of the repository's root; name it with --root FILE")?
            .root_json(),
    };
    let root = Sha256::of(&read_limited(&path, ROOT_MAX).context("read the root that nodes embed")?);
    let server = args.to.server_of(context)?;
    let token = JoinToken::new(random()?, random()?, root, args.group.clone());
    let view = server.new_token(&NewToken {
        id: token.id,
        verifier: token.verifier(),
        root,
        group: args.group.clone(),
        ttl_s: args.ttl,
        uses: args.uses,
    })?;
    let nodes = if view.uses == 1 { "one node".to_owned() } else { format!("{} nodes", view.uses) };
    let group = view.group.as_ref().map(|group| format!(" into group {group}")).unwrap_or_default();
    context.ui.note(&format!("Lets in {nodes}{group} until {}; it is not shown again.", view.expires));
    context.ui.show(&Made { token: token.to_text(), view }, |made| format!("{}\n", made.token))
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random numbers for a token: {error}"))?;
    Ok(bytes)
}

/// `90s`, `30m`, `1h`, `7d` as seconds.
fn ttl(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a number with s, m, h or d, at most 30d, found {text:?}");
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    let seconds = number.checked_mul(unit).filter(|seconds| (1..=TTL_MAX).contains(seconds));
    seconds.ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_have_a_unit_and_an_end() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h", 3600), ("30d", TTL_MAX)] {
            assert_eq!(ttl(text), Ok(seconds));
        }
        for bad in ["", "h", "1", "1 h", "-1h", "0s", "31d", "1w", "1é", "99999999999999999999d", "1.5h"] {
            assert!(ttl(bad).unwrap_err().contains("at most 30d"), "{bad}");
        }
    }
}
