//! The inventory in one SQLite file, `DIR/fleet.db`, in write-ahead mode.
//!
//! `synchronous = NORMAL`: a power cut may lose the last reports, never the file; nodes report again.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::kv::{Change, Kv, KvError, Versioned};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS kv (
        key TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";
/// How long to wait for another process (a backup, `sqlite3`) that holds the file.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Sqlite {
    connection: Mutex<Connection>,
}

impl Sqlite {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`KvError`], also when the file is no database of ours.
    pub fn open(path: &Path) -> Result<Self, KvError> {
        let failed = |source| fault("open", &path.display().to_string(), source);
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_WAIT).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic between statements leaves a connection without an open transaction: still usable.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fault(operation: &'static str, key: &str, source: rusqlite::Error) -> KvError {
    KvError { operation, key: key.to_owned(), source: source.into() }
}

fn versioned(value: Vec<u8>, revision: i64) -> Versioned {
    Versioned { value, revision: revision.cast_unsigned() }
}

impl Kv for Sqlite {
    fn get(&self, key: &str) -> Result<Option<Versioned>, KvError> {
        let connection = self.connection();
        let read = || {
            let mut select = connection.prepare_cached("SELECT value, revision FROM kv WHERE key = ?1")?;
            select.query_row([key], |row| Ok(versioned(row.get(0)?, row.get(1)?))).optional()
        };
        read().map_err(|source| fault("read", key, source))
    }

    fn put(&self, changes: &[Change]) -> Result<Vec<String>, KvError> {
        let mut connection = self.connection();
        let mut write = || {
            let mut refused = Vec::new();
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO kv (key, value, revision) VALUES (?1, ?2, 1) ON CONFLICT (key) DO NOTHING",
                )?;
                let mut update = transaction.prepare_cached(
                    "UPDATE kv SET value = ?2, revision = revision + 1 WHERE key = ?1 AND revision = ?3",
                )?;
                for Change { key, value, expected } in changes {
                    let changed = match expected {
                        0 => insert.execute(params![key, value])?,
                        _ => update.execute(params![key, value, expected.cast_signed()])?,
                    };
                    if changed == 0 {
                        refused.push(key.clone());
                    }
                }
            }
            transaction.commit()?;
            Ok(refused)
        };
        let key = changes.first().map_or("", |change| change.key.as_str());
        write().map_err(|source| fault("write", key, source))
    }

    fn delete(&self, key: &str, expected: u64) -> Result<bool, KvError> {
        let connection = self.connection();
        let remove = || {
            let mut delete = connection.prepare_cached("DELETE FROM kv WHERE key = ?1 AND revision = ?2")?;
            delete.execute(params![key, expected.cast_signed()])
        };
        remove().map(|removed| removed > 0).map_err(|source| fault("delete", key, source))
    }

    fn scan(&self, prefix: &str, each: &mut dyn FnMut(&str, Versioned)) -> Result<(), KvError> {
        let connection = self.connection();
        let mut read = || {
            // Keys are ASCII: the prefix with a byte above all of them behind it ends the range.
            let end = format!("{prefix}\u{7f}");
            let mut select = connection.prepare_cached(
                "SELECT key, value, revision FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key",
            )?;
            let mut rows = select.query([prefix, &end])?;
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                each(&key, versioned(row.get(1)?, row.get(2)?));
            }
            Ok(())
        };
        read().map_err(|source| fault("scan", prefix, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, value: &str, expected: u64) -> Change {
        Change { key: key.into(), value: value.into(), expected }
    }

    #[test]
    fn compare_and_swap_lets_one_of_two_win() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
        assert_eq!(kv.get("node/a").unwrap(), None);
        assert_eq!(kv.put(&[change("node/a", "1", 0)]).unwrap(), Vec::<String>::new());
        assert_eq!(kv.put(&[change("node/a", "x", 0), change("node/b", "1", 0)]).unwrap(), ["node/a"]);
        assert_eq!(kv.put(&[change("node/a", "2", 1)]).unwrap(), Vec::<String>::new());
        assert_eq!(
            kv.put(&[change("node/a", "y", 1), change("node/c", "y", 7)]).unwrap(),
            ["node/a", "node/c"]
        );
        drop(kv);
        let kv = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
        let found = kv.get("node/a").unwrap().unwrap();
        assert_eq!((found.value.as_slice(), found.revision), (&b"2"[..], 2));
        assert!(!kv.delete("node/a", 1).unwrap() && !kv.delete("node/x", 1).unwrap());
        assert!(kv.delete("node/a", 2).unwrap());
        assert_eq!(kv.get("node/a").unwrap(), None);
    }

    #[test]
    fn a_scan_sees_its_prefix_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Sqlite::open(&dir.path().join("fleet.db")).unwrap();
        let keys = ["node/b", "node/a", "nod", "node0", "other/a", "node/~"];
        kv.put(&keys.map(|key| change(key, "", 0))).unwrap();
        let mut found = Vec::new();
        kv.scan("node/", &mut |key, _| found.push(key.to_owned())).unwrap();
        assert_eq!(found, ["node/a", "node/b", "node/~"]);
    }

    #[test]
    fn another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.db");
        std::fs::write(&path, "this is not a database, and long enough to be read as a header of one")
            .unwrap();
        assert_eq!(Sqlite::open(&path).unwrap_err().operation, "open");
    }
}
