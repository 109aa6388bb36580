//! `imgtool build`.

use std::path::PathBuf;

use image_format::{Role, Version};

use crate::build::{self, BuildRequest, Built, CompressionChoice, ModeChoice};
use crate::context::Context;
use crate::recipe;
use crate::repo::Repo;
use crate::ui::size;
use crate::ui::table;

const EXAMPLES: &str = "\
Examples:
  imgtool build ha                       the next version of role ha
  imgtool build ha --version 1           again: gives the same image, or says what differs
  imgtool build ha --compare ha@1        and which files differ from ha@1";

/// Build an image from a role's recipe
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The role: a directory with recipe.toml below the images directory
    role: Role,

    /// The image's version [default: the release counter]
    #[arg(long, value_name = "V")]
    version: Option<Version>,

    /// The directory with all roles' recipes
    #[arg(long, value_name = "DIR", default_value = "images")]
    images: PathBuf,

    /// The static agent [default: the one built beside this program]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,

    /// How to get the rights that a root tree needs
    #[arg(long, value_enum, default_value_t = ModeChoice::Auto)]
    mode: ModeChoice,

    /// Take packages from this mirror instead of the recipe's; security updates still come from their own
    #[arg(long, value_name = "URL", value_parser = recipe::mirror)]
    mirror: Option<String>,

    /// How hard to compress
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    compression: CompressionChoice,

    /// Keep root image, kernel, initramfs and boot loader as files beside the manifest
    #[arg(long)]
    keep_tree: bool,

    /// Say which files differ from this image (role@version, or a build's directory)
    #[arg(long, value_name = "OTHER")]
    compare: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let repo = Repo::open(&context.repo)?;
    let request = BuildRequest {
        role: args.role.clone(),
        version: args.version.clone(),
        images: args.images.clone(),
        agent: args.agent.clone().map_or_else(build::find_agent, Ok)?,
        root_json: repo.root_json(),
        mode: args.mode,
        mirror: args.mirror.clone(),
        store: repo.store_dir(),
        builds: repo.builds_dir(),
        cache: repo.cache_dir(),
        compression: args.compression,
        keep_artifacts: args.keep_tree,
        compare: args.compare.clone(),
    };
    let built = build::build(&request, &context.ui)?;
    context.ui.show(&built, human)
}

fn human(built: &Built) -> String {
    let sizes = &built.sizes;
    let mut text = format!(
        "{} {}\n",
        built.image,
        if built.identical { "is identical to the earlier build" } else { "built" }
    );
    let mut lines = vec![
        ("manifest", built.manifest.to_string()),
        ("root hash", built.root_hash.to_string()),
        ("root", format!("{}, {} as stored", size::bytes(sizes.root), size::bytes(sizes.stored))),
        (
            "new",
            format!(
                "{}, {}",
                size::plural(built.new_objects as usize, "object"),
                size::bytes(built.new_bytes)
            ),
        ),
        ("chunking", format!("{} MB/s", built.chunk_mb_per_s)),
    ];
    if let Some(differences) = &built.differences {
        lines.push(("files", differences.to_string()));
    }
    text.push_str(&table::properties(&lines));
    text
}
