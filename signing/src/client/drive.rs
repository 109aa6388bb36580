//! Running a client with any blocking fetcher.

use super::{Client, Fetch, Find, TargetInfo};
use crate::error::TrustError;

/// Why a driven client stopped.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError<E> {
    /// The fetcher failed: the network, not the metadata.
    #[error("cannot fetch {name}")]
    Fetch {
        /// The file.
        name: String,
        /// The fetcher's error.
        source: E,
    },
    /// The metadata is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Refreshes the top-level roles. `fetch` returns `None` for a file that the server does not have, and must not return more
/// than `max_len` bytes (it may, but reads them for nothing).
///
/// # Errors
/// The first error; [`Client::trusted`] is then still worth persisting.
pub fn refresh<E>(
    client: &mut Client,
    mut fetch: impl FnMut(&Fetch) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), RefreshError<E>> {
    // Bounded: every turn either moves one step on or follows one of at most MAX_ROOT_ROTATIONS roots.
    while let Some(wanted) = client.next()? {
        supply(client, &wanted, &mut fetch)?;
    }
    Ok(())
}

/// Looks up a target, fetching delegated roles as needed. `None`: no role that may name the path does.
///
/// # Errors
/// The first error.
pub fn find_target<E>(
    client: &mut Client,
    path: &str,
    mut fetch: impl FnMut(&Fetch) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<TargetInfo>, RefreshError<E>> {
    // Bounded: every fetch loads one role, and the search fails beyond MAX_DELEGATIONS of them.
    loop {
        match client.find(path)? {
            Find::Fetch(wanted) => supply(client, &wanted, &mut fetch)?,
            Find::Found(target) => return Ok(Some(target)),
            Find::NotFound => return Ok(None),
        }
    }
}

/// Loads every delegated role after a refresh.
///
/// # Errors
/// The first error.
pub fn load_all<E>(
    client: &mut Client,
    mut fetch: impl FnMut(&Fetch) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), RefreshError<E>> {
    // Bounded as in `find_target`.
    while let Some(wanted) = client.next_delegated()? {
        supply(client, &wanted, &mut fetch)?;
    }
    Ok(())
}

fn supply<E>(
    client: &mut Client,
    wanted: &Fetch,
    fetch: &mut impl FnMut(&Fetch) -> Result<Option<Vec<u8>>, E>,
) -> Result<(), RefreshError<E>> {
    let body = fetch(wanted).map_err(|source| RefreshError::Fetch { name: wanted.name.clone(), source })?;
    Ok(client.feed(&wanted.name, body.as_deref())?)
}
