//! Python programs of others, in a virtual environment below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::view::View;
use crate::{edit, process, workspace};

/// The interpreter of the environment `name` that has what the file `requirements` lists; made, or made anew, when it has not.
///
/// # Errors
/// No `python3-venv`, or no package index.
pub fn environment(view: &View, name: &str, requirements: &Path) -> Result<PathBuf> {
    let dir = workspace::target_dir().join("bascule-python").join(name);
    let (python, done) = (dir.join("bin/python"), dir.join("requirements.txt"));
    let wanted =
        fs::read_to_string(requirements).with_context(|| format!("read {}", requirements.display()))?;
    if fs::read_to_string(&done).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    view.note(&format!(
        "     Python packages from PyPI: {}",
        wanted.split_whitespace().collect::<Vec<_>>().join(", ")
    ));
    process::run(Command::new("python3").args(["-m", "venv"]).arg(&dir), view)?.success("python3 -m venv")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    process::run(&pip, view)?.success("pip install")?;
    edit::write(&done, &wanted)?;
    Ok(python)
}
