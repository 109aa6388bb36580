//! What was found to be damaged, by this server or by `imgtool scrub`, and is not there in another copy.

use std::io;

use image_format::ObjectId;
use image_format::store::Store;

/// Most files that are looked at.
const LOOKED_AT_MAX: usize = 10_000;

/// What lies in quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Files, at most [`LOOKED_AT_MAX`].
    pub files: usize,
    /// Objects of them that the store does not have.
    pub missing: Vec<ObjectId>,
}

/// Looks. Blocks.
///
/// # Errors
/// The directory, or the store, cannot be read.
pub fn look(store: &Store) -> io::Result<Quarantine> {
    let listing = match std::fs::read_dir(store.path().join("quarantine")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Quarantine::default()),
        listing => listing?,
    };
    let mut quarantine = Quarantine::default();
    for entry in listing.take(LOOKED_AT_MAX) {
        let name = entry?.file_name();
        quarantine.files += 1;
        let id: Option<ObjectId> = name.to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id
            && !store.contains(id).map_err(io::Error::other)?
        {
            quarantine.missing.push(id);
        }
    }
    quarantine.missing.sort_unstable();
    Ok(quarantine)
}

impl Quarantine {
    /// A line for people, if something is missing.
    pub fn warning(&self) -> Option<String> {
        let first = self.missing.first()?;
        let count = self.missing.len();
        let (objects, are) = if count == 1 { ("object was", "is") } else { ("objects were", "are") };
        Some(format!(
            "warning: {count} {objects} damaged and {are} missing, such as {first}: publish again what has been published, or \
             imgtool scrub --repair-from"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        assert_eq!(look(&store).unwrap(), Quarantine::default());
        let mut batch = store.batch().unwrap();
        let there = batch.put(b"there").unwrap().id;
        batch.commit().unwrap();
        let gone = ObjectId::of(b"gone");
        std::fs::create_dir_all(dir.path().join("quarantine")).unwrap();
        for name in [there.to_string(), gone.to_string(), "x.pack".to_owned()] {
            std::fs::write(dir.path().join("quarantine").join(name), "damaged").unwrap();
        }
        let quarantine = look(&store).unwrap();
        assert_eq!(quarantine, Quarantine { files: 3, missing: vec![gone] });
        let warning = quarantine.warning().unwrap();
        assert!(
            warning.starts_with(&format!("warning: 1 object was damaged and is missing, such as {gone}: "))
        );
        assert_eq!(Quarantine { files: 1, missing: Vec::new() }.warning(), None);
    }
}
