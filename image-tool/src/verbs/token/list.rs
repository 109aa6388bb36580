//! `imgtool token list`: which tokens there are, and who came with them.

use fleet_protocol::join::{TokenState, TokenView};

use crate::context::Context;
use crate::destination::To;
use crate::ui::style::{bad, dim, good};
use crate::ui::table::Table;

const EXAMPLES: &str = "\
Examples:
  imgtool token list
  imgtool token list --json | jq -r '.[] | select(.state == \"usable\") | .id'";

/// List the join tokens of the last days
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    to: To,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    context.ui.show(&args.to.server_of(context)?.tokens()?, |tokens| table(tokens))
}

fn table(tokens: &[TokenView]) -> String {
    if tokens.is_empty() {
        return "No join tokens. Make one with `imgtool token new`.\n".to_owned();
    }
    let mut table = Table::new(["TOKEN", "STATE", "USED", "GROUP", "EXPIRES", "NODES"]);
    for token in tokens {
        let state = match token.state {
            TokenState::Usable => good("usable"),
            TokenState::UsedUp => dim("used up"),
            TokenState::Expired => dim("expired"),
            TokenState::Revoked => bad("revoked"),
            TokenState::Unknown => dim("?"),
        };
        let nodes: Vec<String> = token.nodes.iter().map(ToString::to_string).collect();
        let more = if token.nodes.len() < token.used as usize { " …" } else { "" };
        table.row([
            token.id.to_string(),
            state,
            format!("{}/{}", token.used, token.uses),
            token.group.as_ref().map_or_else(|| dim("-"), ToString::to_string),
            token.expires.clone(),
            format!("{}{more}", nodes.join(" ")),
        ]);
    }
    table.render()
}
