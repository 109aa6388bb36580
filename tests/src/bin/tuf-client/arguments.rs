//! The command line, as the suite's `CLIENT-CLI.md` has it: options first, the verb among or behind them.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::download::Wanted;
use crate::fetch::Source;

/// What to do.
pub(crate) enum Verb {
    /// Begin with this root; nothing is fetched.
    Init { root: PathBuf },
    /// Refresh the top-level roles.
    Refresh { metadata: Source },
    /// The same, and then get targets.
    Download { metadata: Source, wanted: Wanted },
}

/// The whole command line.
pub(crate) struct Arguments {
    /// Where trusted metadata lies.
    pub(crate) metadata_dir: PathBuf,
    pub(crate) verb: Verb,
}

impl Arguments {
    /// Reads the words behind the program's name.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Self> {
        let (mut metadata_dir, mut metadata_url, mut base_url) = (None, None, None);
        let (mut names, mut directory, mut plain) = (Vec::new(), None, Vec::new());
        let mut words =
            words.map(|word| word.into_string().map_err(|word| anyhow::anyhow!("{word:?}: not text")));
        while let Some(word) = words.next().transpose()? {
            let mut value = || words.next().transpose()?.with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--metadata-dir" => metadata_dir = Some(PathBuf::from(value()?)),
                "--metadata-url" => metadata_url = Some(Source::at(&value()?)),
                "--target-name" => names.push(value()?),
                "--target-dir" => directory = Some(PathBuf::from(value()?)),
                "--target-base-url" => base_url = Some(Source::at(&value()?)),
                option if option.starts_with("--") => bail!("unknown option {option}"),
                _ => plain.push(word),
            }
        }
        let metadata_dir = metadata_dir.context("no --metadata-dir")?;
        let metadata = metadata_url.context("no --metadata-url");
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let verb = match plain.as_slice() {
            ["init", root] => Verb::Init { root: root.into() },
            ["refresh"] => Verb::Refresh { metadata: metadata? },
            ["download"] => {
                ensure!(!names.is_empty(), "no --target-name");
                let directory = directory.context("no --target-dir")?;
                let source = base_url.context("no --target-base-url")?;
                Verb::Download { metadata: metadata?, wanted: Wanted { names, directory, source } }
            }
            other => bail!("expected init ROOT, refresh or download, found {other:?}"),
        };
        Ok(Self { metadata_dir, verb })
    }
}
