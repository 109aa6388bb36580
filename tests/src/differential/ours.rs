//! Our client.

use std::convert::Infallible;

use signing::{Client, RefreshError, TrustError, TrustedFiles, find_target, refresh};

use super::repository::{Files, NOW};
use super::{PATHS, Step, Verdict};

pub(crate) fn verdict(files: &Files) -> Verdict<TrustError> {
    let mut steps = Vec::new();
    let mut client = match Client::new(TrustedFiles::from_root(files["1.root.json"].clone()), NOW) {
        Ok(client) => client,
        Err(error) => return vec![Err(error)],
    };
    steps.push(Ok(Step::Root(client.root().version)));
    let fetch = |wanted: &signing::Fetch| Ok::<_, Infallible>(files.get(&wanted.name).cloned());
    if let Err(error) = trust(refresh(&mut client, fetch)) {
        steps.push(Err(error));
        return steps;
    }
    let version = client.timestamp().unwrap().version;
    steps.push(Ok(Step::Refresh([client.root().version, version, client.snapshot().unwrap().version])));
    for path in PATHS {
        let found = trust(find_target(&mut client, path, fetch));
        let target =
            |found: signing::TargetInfo| (found.length, found.hashes.get("sha256").unwrap_or("").to_owned());
        steps.push(found.map(|found| Step::Target(found.map(target))));
    }
    steps
}

fn trust<T>(result: Result<T, RefreshError<Infallible>>) -> Result<T, TrustError> {
    result.map_err(|error| match error {
        RefreshError::Trust(error) => error,
        RefreshError::Fetch { source, .. } => match source {},
    })
}
