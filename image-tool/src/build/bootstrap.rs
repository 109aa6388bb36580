//! The root tree's archive, made by mmdebstrap: signed packages from Debian, without recommended ones.
//!
//! This is the slow stage. Its result depends on the package list, the archive's state and a few options, so it is kept under
//! a digest of these; builds that change an overlay or a health check only take it from there.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use super::archive_state::ArchiveState;
use super::mode::Mode;
use super::work::Work;
use super::{archive_state, tools};
use crate::recipe::{Keep, Recipe};

/// Archives kept; each has some hundred MB.
const KEPT_MAX: usize = 4;
/// Lines of mmdebstrap's output remembered for an error.
const OUTPUT_MAX: usize = 2000;
/// Debian's archive keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Stands for everything about the call that is not in the key by itself: change it with the call.
const CALL: &str = "mmdebstrap 1";

/// An archive that is there.
#[derive(Debug)]
pub(crate) struct Bootstrapped {
    /// The tar file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Whether an earlier one was used.
    pub(crate) reused: bool,
    /// Where its packages come from.
    pub(crate) state: Vec<ArchiveState>,
}

/// Finds or makes the archive for `recipe`.
pub(crate) fn archive(
    recipe: &Recipe,
    mode: Mode,
    work: &Work,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Bootstrapped> {
    progress("asking the archive for its state");
    let state = archive_state::fetch(&recipe.debian, work.dir())?;
    let state_key: String = state.iter().map(ArchiveState::key).collect();
    let options = options(recipe);
    let key = blake3::hash(
        format!(
            "{CALL}\n{state_key}{}\n{}\n{:?}",
            recipe.epoch,
            options.join("\n"),
            recipe.debian.components
        )
        .as_bytes(),
    );
    let path = work.cache().join(format!("{key}.tar"));
    if let Ok(file) = File::options().append(true).open(&path) {
        // The date says when it was last of use.
        file.set_modified(SystemTime::now()).with_context(|| format!("touch {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("size of {}", path.display()))?.len();
        return Ok(Bootstrapped { path, size, reused: true, state });
    }
    let made = work.dir().join("root.tar");
    run(recipe, mode, &options, &made, progress)?;
    File::open(&made).and_then(|file| file.sync_all()).with_context(|| format!("sync {}", made.display()))?;
    fs::rename(&made, &path).with_context(|| format!("rename {} to {}", made.display(), path.display()))?;
    let size = fs::metadata(&path).with_context(|| format!("size of {}", path.display()))?.len();
    forget_old(work.cache())?;
    Ok(Bootstrapped { path, size, reused: false, state })
}

/// mmdebstrap's options that decide what is in the tree.
fn options(recipe: &Recipe) -> Vec<String> {
    let mut packages = recipe.packages.clone();
    packages.push(recipe.kernel.package.clone());
    let mut options = vec![
        "--variant=minbase".to_owned(),
        "--architectures=amd64".to_owned(),
        "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
        // Nothing of the tree survives a crash anyway: no flush after every package.
        "--dpkgopt=force-unsafe-io".to_owned(),
        format!("--include={}", packages.join(",")),
    ];
    let Keep { docs, man, locales } = recipe.keep;
    let mut exclude = |path: &str| options.push(format!("--dpkgopt=path-exclude={path}"));
    if !docs {
        exclude("/usr/share/doc/*");
        exclude("/usr/share/doc-base/*");
    }
    if !man {
        exclude("/usr/share/man/*");
        exclude("/usr/share/info/*");
    }
    if !locales {
        exclude("/usr/share/locale/*");
    }
    if !docs {
        // Licences ask for their text to travel along.
        options.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned());
    }
    options
}

fn sources(recipe: &Recipe) -> String {
    let components = recipe.debian.components.join(" ");
    archive_state::suites(&recipe.debian)
        .map(|(url, suite)| format!("deb [signed-by={KEYRING}] {url} {suite} {components}\n"))
        .collect()
}

fn run(
    recipe: &Recipe,
    mode: Mode,
    options: &[String],
    target: &Path,
    progress: &dyn Fn(&str),
) -> anyhow::Result<()> {
    if !Path::new(KEYRING).is_file() {
        bail!("{KEYRING} is missing: install the Debian package debian-archive-keyring");
    }
    let mut command = Command::new("mmdebstrap");
    command
        .args(options)
        .arg(format!("--mode={}", mode.as_str()))
        .arg("--format=tar")
        .arg(&recipe.debian.suite)
        .arg(target)
        .arg("-")
        .env("SOURCE_DATE_EPOCH", recipe.epoch.to_string())
        // Asks the kernel packages' hooks for no initrd; ours is made elsewhere, and theirs would be removed again.
        .env("INITRD", "No")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| tools::missing("mmdebstrap", "mmdebstrap", error))?;
    let (status, output) = watch(child, &sources(recipe), progress).context("run mmdebstrap")?;
    if status.success() {
        return Ok(());
    }
    let unknown = unknown_packages(&output);
    if !unknown.is_empty() {
        bail!(
            "role {}: {} does not have: {} (from the recipe's packages or kernel.package)",
            recipe.role,
            recipe.debian.suite,
            unknown.join(", ")
        );
    }
    bail!("mmdebstrap: {status}: {}", tools::last_lines(&output.join("\n")));
}

/// Feeds `sources` to mmdebstrap and passes on what it says it does.
fn watch(
    mut child: Child,
    sources: &str,
    progress: &dyn Fn(&str),
) -> io::Result<(std::process::ExitStatus, Vec<String>)> {
    // A few hundred bytes: the pipe takes them at once. The end of the pipe is the end of the file.
    let fed = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(sources.as_bytes()));
    let mut output = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            if let Some(text) = line.strip_prefix("I: ") {
                progress(text.trim_end());
            }
            if output.len() < OUTPUT_MAX {
                output.push(line);
            }
        }
    }
    let status = child.wait()?;
    // A tool that failed before it read its input has said why.
    if status.success() {
        fed?;
    }
    Ok((status, output))
}

/// Packages that apt does not know, from its messages.
fn unknown_packages(output: &[String]) -> Vec<String> {
    let mut found: Vec<String> = output
        .iter()
        .filter_map(|line| {
            let line = line.trim();
            let quoted = |text: &str| text.split('\'').nth(1).map(str::to_owned);
            if let Some(name) = line.strip_prefix("E: Unable to locate package ") {
                return Some(name.trim().to_owned());
            }
            let other = line.contains("has no installation candidate")
                || line.starts_with("E: Couldn't find any package");
            other.then(|| quoted(line)).flatten()
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Removes archives beyond the [`KEPT_MAX`] last used.
fn forget_old(cache: &Path) -> anyhow::Result<()> {
    let list = || -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let mut archives = Vec::new();
        for entry in fs::read_dir(cache)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "tar") {
                archives.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        Ok(archives)
    };
    let mut archives = list().with_context(|| format!("read {}", cache.display()))?;
    archives.sort();
    let surplus = archives.len().saturating_sub(KEPT_MAX);
    for (_, path) in archives.drain(..surplus) {
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_packages_are_found_in_what_apt_says() {
        let output = [
            "I: installing remaining packages inside the chroot...",
            "E: Unable to locate package nonsense",
            "E: Package 'oldname' has no installation candidate",
            "E: Unable to locate package nonsense",
        ];
        let output: Vec<String> = output.map(str::to_owned).into();
        assert_eq!(unknown_packages(&output), ["nonsense", "oldname"]);
    }

    #[test]
    fn only_the_last_used_archives_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for age in 0..6u64 {
            let file = File::create(dir.path().join(format!("{age}.tar"))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(100 - age)).unwrap();
        }
        fs::write(dir.path().join("other"), "").unwrap();
        forget_old(dir.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["0.tar", "1.tar", "2.tar", "3.tar", "other"]);
    }
}
