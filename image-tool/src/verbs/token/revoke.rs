//! `imgtool token revoke`: nobody comes with it any more.

use fleet_protocol::join::TokenId;

use crate::context::Context;
use crate::destination::To;

const EXAMPLES: &str = "\
Examples:
  imgtool token revoke 0f3a9c01b2d4

Nodes that came with it stay approved; `imgtool node revoke` is for them.";

/// End a join token before its time
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Its id: the 12 digits that `imgtool token list` shows
    id: TokenId,

    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let token = args.to.server_of(context)?.revoke_token(args.id)?;
    context
        .ui
        .show(&token, |token| format!("token {} is revoked; {} nodes came with it\n", token.id, token.used))
}
