//! Where the two are meant to disagree, and why.

use signing::{JsonError, KeyError, TrustError};

use crate::Step;

/// A disagreement with its reason.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// Why ours does as it does.
    pub(crate) reason: &'static str,
    /// Whether it explains a step that we refuse and they accept; the text says what was mutated.
    stricter: fn(&TrustError, &str) -> bool,
}

/// In all of these we refuse what they accept. None is about a signature that would count for one and not for the other, except
/// for its spelling.
pub(crate) const ALL: &[Difference] = &[
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
        name: "signature in upper-case hex",
        reason: "one spelling of everything that is compared",
        stricter: |error, what| {
            matches!(error, TrustError::Threshold { .. }) && what.contains("upper-case hex")
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
        name: "version 0",
        reason: "spec 4.3: an integer greater than zero",
        stricter: |error, _| shape(error).is_some_and(|text| text.starts_with("0 where a number")),
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
        name: "a root without a top-level role, delegations without a list of roles",
        reason: "refused at once and not when the role is needed",
        stricter: |error, _| shape(error).is_some_and(|text| text.starts_with("missing field")),
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
pub(crate) const UNKNOWN_NEIGHBOUR: &str = "something unknown in another shape than its neighbours";

/// The name of the difference, if there is one.
pub(crate) fn explain(
    what: &str,
    ours: &Result<Step, TrustError>,
    theirs: &Result<Step, String>,
) -> Option<&'static str> {
    match (ours, theirs) {
        (Err(error), Ok(_)) => {
            ALL.iter().find(|difference| (difference.stricter)(error, what)).map(|found| found.name)
        }
        (Ok(_), Err(error)) if [".roles.", ".meta."].iter().any(|part| what.contains(part)) => {
            error.contains("JSON").then_some(UNKNOWN_NEIGHBOUR)
        }
        _ => None,
    }
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
