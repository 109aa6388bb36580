//! Parts of `/etc` that live on the state partition.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Component, Path};

use rustix::mount::mount_bind;

/// Deepest directory copied.
const DEPTH_MAX: usize = 32;

/// Lets `path`, relative to `/etc`, live in `kept`: on first use it is copied from the image's `/etc` (a path that the image
/// does not have becomes a directory), then it is bound over the same path in `etc`.
///
/// # Errors
/// A path that leads out of `/etc`, or what the file system says. A copy that was interrupted is not taken for a whole one:
/// it grows beside its place and is renamed.
pub(super) fn keep(image: &Path, kept: &Path, etc: &Path, path: &str) -> io::Result<()> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path below /etc"));
    }
    let (from, to, over) = (image.join(relative), kept.join(relative), etc.join(relative));
    if fs::symlink_metadata(&to).is_err() {
        let parent = to.parent().unwrap_or(kept);
        fs::create_dir_all(parent)?;
        let growing =
            parent.join(format!(".{}.new", relative.file_name().unwrap_or_default().to_string_lossy()));
        remove(&growing)?;
        match fs::symlink_metadata(&from) {
            Ok(_) => copy(&from, &growing, 0)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&growing)?,
            Err(error) => return Err(error),
        }
        rustix::fs::sync();
        fs::rename(&growing, &to)?;
    }
    if fs::symlink_metadata(&over).is_err() {
        if let Some(parent) = over.parent() {
            fs::create_dir_all(parent)?;
        }
        let is_directory = fs::symlink_metadata(&to)?.is_dir();
        if is_directory { fs::create_dir(&over) } else { fs::File::create(&over).map(drop) }?;
    }
    Ok(mount_bind(&to, &over)?)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Copies files, directories and symbolic links with owner and mode; other kinds do not belong into `/etc`.
fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    let kind = found.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        return lchown(to, Some(found.uid()), Some(found.gid()));
    }
    if kind.is_dir() {
        if depth == DEPTH_MAX {
            return Err(io::Error::other(format!(
                "directories deeper than {DEPTH_MAX} at {}",
                from.display()
            )));
        }
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), depth + 1)?;
        }
    } else if kind.is_file() {
        fs::copy(from, to)?;
    } else {
        return Err(io::Error::other(format!("{} is no file, directory or link", from.display())));
    }
    chown(to, Some(found.uid()), Some(found.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_with_modes_and_links() {
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("ssh");
        fs::create_dir_all(from.join("sshd_config.d")).unwrap();
        fs::write(from.join("key"), "secret").unwrap();
        fs::set_permissions(from.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("key", from.join("link")).unwrap();
        let to = root.path().join("copy");
        copy(&from, &to, 0).unwrap();
        assert_eq!(fs::read_to_string(to.join("key")).unwrap(), "secret");
        assert_eq!(fs::metadata(to.join("key")).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("key"));
        assert!(to.join("sshd_config.d").is_dir());
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for bad in ["", "/etc/x", "../x", "a/../../x"] {
            let error = keep(root.path(), root.path(), root.path(), bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }
}
