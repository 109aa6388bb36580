//! An admin's repository directory, driven through `imgtool --json`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::fleet::Server;
use crate::process::{self, Output};
use crate::view::View;
use crate::workspace;

/// A repository directory and the recipes it builds from.
#[derive(Debug)]
pub struct Repo<'v> {
    view: &'v View,
    dir: PathBuf,
    images: PathBuf,
    log: PathBuf,
    tool: PathBuf,
}

impl<'v> Repo<'v> {
    /// Names a repository directory; nothing is made yet.
    pub fn at(view: &'v View, dir: &Path, images: &Path) -> Result<Self> {
        let log = dir.with_extension("log");
        Ok(Self { view, dir: dir.into(), images: images.into(), log, tool: workspace::built("imgtool")? })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The recipes.
    pub fn images(&self) -> &Path {
        &self.images
    }

    /// A command of `imgtool` on this repository, not yet run.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.tool);
        command.arg("--json").arg("--repo").arg(&self.dir).args(args);
        command
    }

    /// Runs `imgtool`, whatever the outcome.
    pub fn try_run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output> {
        let output = process::run(&self.command(args), self.view)?;
        process::log(&output, &describe(args), &self.log)?;
        Ok(output)
    }

    /// Runs `imgtool`, which must succeed; gives what it printed as JSON and how it went.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<(Value, Output)> {
        let what = describe(args);
        let output = self.try_run(args)?.success(&what)?;
        let text = output.stdout.trim();
        let value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(text).with_context(|| format!("{what}: output is not JSON: {text}"))?
        };
        Ok((value, output))
    }

    /// Runs `imgtool` as a person does; gives the text that it printed.
    pub fn text(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.tool);
        command.arg("--repo").arg(&self.dir).args(args);
        Ok(process::run(&command, self.view)?.success(&describe(args))?.stdout)
    }

    /// Runs `imgtool`, which must fail; gives its message.
    pub fn refused<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        let output = self.try_run(args)?;
        ensure!(!output.status.success(), "{}: expected a failure, but it succeeded", describe(args));
        Ok(output.stderr)
    }

    /// `imgtool init`, with a server to publish to, or for the local store alone.
    pub fn init(&self, server: Option<&Server>) -> Result<()> {
        let mut args = vec![OsString::from("init"), "--single-key".into()];
        if let Some(server) = server {
            args.extend(["--remote".into(), server.admin_url().into()]);
            args.extend(["--token-file".into(), server.token_file().into()]);
        }
        self.run(&args).map(drop)
    }

    /// `imgtool init` for a server that signs snapshot and timestamp with the keys in `online_keys`.
    pub fn init_online(&self, server: &Server, online_keys: &Path) -> Result<()> {
        let mut args = vec![OsString::from("init"), "--single-key".into()];
        args.extend(["--online-keys".into(), online_keys.into()]);
        args.extend(["--remote".into(), server.admin_url().into()]);
        args.extend(["--token-file".into(), server.token_file().into()]);
        self.run(&args).map(drop)
    }

    /// Lets repositories of later runs use the package archives that this one makes, and the other way round. `imgtool`
    /// takes an archive only when recipe and package index are the same.
    pub fn share_cache(&self) -> Result<()> {
        let shared = workspace::target_dir().join("bascule-cache");
        std::fs::create_dir_all(&shared).with_context(|| format!("create {}", shared.display()))?;
        let link = self.dir.join("cache");
        std::os::unix::fs::symlink(&shared, &link).with_context(|| format!("link {}", link.display()))
    }

    /// Names the server to publish to in an existing repository.
    pub fn set_remote(&self, server: &Server) -> Result<()> {
        let path = self.dir.join("bascule.toml");
        let text = format!("remote = {:?}\ntoken_file = {:?}\n", server.admin_url(), server.token_file());
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// `imgtool build`.
    pub fn build(&self, role: &str, version: &str) -> Result<(Value, Output)> {
        self.build_with(role, version, &[])
    }

    /// `imgtool build` with further options.
    pub fn build_with(&self, role: &str, version: &str, more: &[&str]) -> Result<(Value, Output)> {
        let agent = workspace::built("imgagent")?;
        let fixed = [
            OsStr::new("build"),
            OsStr::new(role),
            OsStr::new("--version"),
            OsStr::new(version),
            OsStr::new("--images"),
            self.images.as_os_str(),
            OsStr::new("--agent"),
            agent.as_os_str(),
        ];
        self.run(&fixed.into_iter().chain(more.iter().map(OsStr::new)).collect::<Vec<_>>())
    }

    /// `imgtool sign`.
    pub fn sign(&self, image: &str) -> Result<(Value, Output)> {
        self.run(&["sign", image])
    }

    /// `imgtool publish`.
    pub fn publish(&self, image: &str) -> Result<(Value, Output)> {
        self.run(&["publish", image])
    }

    /// `imgtool pin`.
    pub fn pin(&self, group: &str, image: &str) -> Result<()> {
        self.run(&["pin", group, image]).map(drop)
    }
}

fn describe<S: AsRef<OsStr>>(args: &[S]) -> String {
    let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
    format!("imgtool {}", words.join(" "))
}
