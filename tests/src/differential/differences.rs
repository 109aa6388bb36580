//! Where the two are meant to disagree, and why.

use std::collections::BTreeMap;

use signing::{JsonError, KeyError, TrustError, Value};

use super::Step;
use super::repository::Files;

/// A disagreement with its reason.
#[derive(Debug)]
pub struct Difference {
    /// What is refused by us and accepted by them.
    pub name: &'static str,
    /// Why ours does as it does.
    pub reason: &'static str,
    /// Whether it explains a step that we refuse and they accept, in a repository of these files.
    stricter: fn(&TrustError, &Files) -> bool,
}

/// In all of these we refuse what they accept. None is about a signature that would count for one and not for the other, except
/// for its spelling.
pub const ALL: &[Difference] = &[
    Difference {
        name: "key id that is not the hash of its key",
        reason: "spec 4.2: clients must compute it; one id then never stands for two keys. They follow repositories that do not",
        stricter: |error, _| {
            let wrong = matches!(error, TrustError::Key { source: KeyError::WrongId { .. }, .. });
            wrong || shape(error).is_some_and(|text| text.contains("is not 64 lower-case hex digits"))
        },
    },
    Difference {
        name: "the same name twice in an object",
        reason: "readers disagree about which one counts; they take the last",
        stricter: |error, _| matches!(error, TrustError::Json { source: JsonError::DuplicateKey(_), .. }),
    },
    Difference {
        name: "a number that is no 64-bit integer with a sign",
        reason: "refused in the whole file; they look at `signed` alone, and take integers without a sign too",
        stricter: |error, _| matches!(error, TrustError::Json { source: JsonError::NotAnInteger(_), .. }),
    },
    Difference {
        name: "nested deeper than 32",
        reason: "the reader is recursive and runs with a small stack; they take 127",
        stricter: |error, _| matches!(error, TrustError::Json { source: JsonError::TooDeep(_), .. }),
    },
    Difference {
        name: "signature or hash in upper-case hex",
        reason: "one spelling of everything that is compared",
        stricter: |error, files| match error {
            TrustError::Threshold { .. } => has_capitals(files),
            TrustError::HashMismatch { expected, found, .. } => expected.eq_ignore_ascii_case(found),
            _ => false,
        },
    },
    Difference {
        name: "two entries by one key in signatures",
        reason: "spec 4.2.1: key ids must be unique there; they skip entries that are empty or of nobody",
        stricter: |error, _| matches!(error, TrustError::DuplicateSignature { .. }),
    },
    Difference {
        name: "a specification version that is not made of numbers",
        reason: "spec 4.3: semantic versioning; they look at the part before the first dot",
        stricter: |error, _| matches!(error, TrustError::SpecVersion { found, .. } if found.split('.').next() == Some("1")),
    },
    Difference {
        name: "one key id twice for a role",
        reason: "spec 4.3: key ids must be unique; they make a set of them",
        stricter: |error, _| malformed(error).is_some_and(|text| text.ends_with("twice for one role")),
    },
    Difference {
        name: "two delegations to one role by one delegator",
        reason: "which keys and paths count would depend on the reader",
        stricter: |error, _| malformed(error).is_some_and(|text| text.starts_with("delegates twice")),
    },
    Difference {
        name: "a delegation without paths or with both kinds",
        reason: "spec 4.5: exactly one of the two; they match by hash prefix if both are there, and nothing if none is",
        stricter: |error, _| {
            malformed(error).is_some_and(|text| text.ends_with("paths or path_hash_prefixes"))
        },
    },
    Difference {
        name: "a version of 0, a threshold of 0 or beyond 32 bits, a role or a list of roles that is missing",
        reason: "refused when the file is read; they refuse it when it is needed, and take version 0",
        stricter: |error, _| {
            let late = ["0 where a number", "invalid value: integer", "missing field"];
            shape(error).is_some_and(|text| late.iter().any(|start| text.starts_with(start)))
        },
    },
    Difference {
        name: "another spelling of a time",
        reason: "spec 4.2: YYYY-MM-DDTHH:MM:SSZ; they take fractions and offsets too",
        stricter: |error, _| shape(error).is_some_and(|text| text.starts_with("time ")),
    },
    Difference {
        name: "expiry in this very second",
        reason: "spec 5.3.10: the expiry must be higher than the fixed time; they also take an equal one",
        stricter: |error, _| matches!(error, TrustError::Expired { expired, now, .. } if expired == now),
    },
    Difference {
        name: "a target without a hash that is understood",
        reason: "refused when it is looked up; they refuse it when it is downloaded",
        stricter: |error, _| matches!(error, TrustError::UnknownHash { what } if what.starts_with("target ")),
    },
    Difference {
        name: "a delegated role that the snapshot does not list",
        reason: "the search ends with an error that names the role; they pass it over",
        stricter: |error, _| matches!(error, TrustError::NotInSnapshot { .. }),
    },
];

/// The only thing that we accept and they refuse: beside the roles of a root, and beside the snapshot in a timestamp, something unknown
/// that is not shaped like its neighbours. Unknown fields are kept, covered by the signature, and never read.
pub const UNKNOWN_NEIGHBOUR: &str = "something unknown in another shape than its neighbours";

/// The name of the difference, if there is one.
pub(super) fn explain(
    files: &Files,
    ours: &Result<Step, TrustError>,
    theirs: &Result<Step, String>,
) -> Option<&'static str> {
    match (ours, theirs) {
        (Err(error), Ok(_)) => {
            ALL.iter().find(|difference| (difference.stricter)(error, files)).map(|found| found.name)
        }
        (Ok(_), Err(error)) if error.contains("JSON") => has_neighbours(files).then_some(UNKNOWN_NEIGHBOUR),
        _ => None,
    }
}

/// Whether a signature somewhere is spelled with capitals.
fn has_capitals(files: &Files) -> bool {
    let is_capital = |entry: &Value| {
        let sig = entry.get("sig").and_then(Value::as_str).unwrap_or_default();
        sig.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    let signatures = |file: &Value| file.get("signatures").and_then(Value::as_array).map(<[Value]>::to_vec);
    parsed(files).any(|(_, file)| signatures(&file).is_some_and(|list| list.iter().any(is_capital)))
}

/// Whether a root has more than four roles, or a timestamp lists more than the snapshot.
fn has_neighbours(files: &Files) -> bool {
    let count = |file: &Value, field: &str| file.get("signed")?.get(field)?.as_object().map(BTreeMap::len);
    parsed(files).any(|(name, file)| {
        let more_roles = name.ends_with("root.json") && count(&file, "roles") > Some(4);
        more_roles || name == "timestamp.json" && count(&file, "meta") > Some(1)
    })
}

fn parsed(files: &Files) -> impl Iterator<Item = (&str, Value)> {
    files.iter().filter_map(|(name, bytes)| Some((name.as_str(), signing::parse(bytes, 1 << 20).ok()?)))
}

fn shape(error: &TrustError) -> Option<&str> {
    match error {
        TrustError::Json { source: JsonError::Shape(text), .. } => Some(text),
        _ => None,
    }
}

fn malformed(error: &TrustError) -> Option<&str> {
    match error {
        TrustError::Malformed { reason, .. } => Some(reason),
        _ => None,
    }
}
