//! Changes that are signed in steps, by several keys, on several machines.

use std::collections::BTreeMap;

use signing::repo::{Lifetimes, Proposal, Repository, RoleKeys, RoleName, Section, SignError};
use signing::{Client, PublicKey, Signer, SignerError, TrustError, TrustedFiles, refresh};

use crate::site::{NOW, key, repository, role_keys};

/// Root and targets need two of three keys.
fn ceremony() -> (Repository, RoleKeys) {
    let mut keys = role_keys();
    keys.root = vec![key(11), key(12), key(13)];
    keys.targets = vec![key(21), key(22), key(23)];
    let mut repo = repository(&keys);
    for role in [RoleName::Root, RoleName::Targets] {
        repo.set_signers(role, &keys.public(role), 2).unwrap();
    }
    repo.write(&keys, NOW).unwrap();
    (Repository::load(repo.files().clone(), Lifetimes::default()).unwrap(), keys)
}

/// As it travels: only bytes.
fn carried(proposal: &Proposal) -> Proposal {
    Proposal::from_files(&proposal.files().unwrap()).unwrap()
}

#[test]
fn signatures_gather_until_the_threshold_is_met() {
    let (mut repo, keys) = ceremony();
    repo.renew(RoleName::Root);
    let mut proposal = repo.propose(NOW).unwrap();
    assert_eq!(proposal.roles(), [RoleName::Root]);
    assert_eq!(proposal.version(RoleName::Root), Some(2));
    assert!(!proposal.is_complete(&repo));

    assert!(proposal.sign(&repo, RoleName::Root, &key(12)).unwrap());
    assert!(!proposal.sign(&repo, RoleName::Root, &key(12)).unwrap(), "one key counts once");
    let mut proposal = carried(&proposal);
    let needs = proposal.progress(&repo).remove(0).needs;
    let by: Vec<_> = needs.iter().map(|need| (need.by.as_str(), need.threshold)).collect();
    assert_eq!(by, [("the root before", 2), ("root", 2)]);
    for need in &needs {
        assert_eq!(need.signed, [key(12).public().id()]);
        assert_eq!(need.open.len(), 2);
        assert!(!need.is_met());
    }
    let outcome = repo.accept(&proposal);
    assert!(matches!(outcome, Err(SignError::NotEnoughKeys { needed: 2, found: 1, .. })), "{outcome:?}");

    proposal.sign(&repo, RoleName::Root, &key(13)).unwrap();
    let proposal = carried(&proposal);
    assert!(proposal.is_complete(&repo));
    repo.accept(&proposal).unwrap();
    assert_eq!(repo.accepted().keys().map(String::as_str).collect::<Vec<_>>(), ["2.root.json"]);
    let files = repo.complete(&keys.online(), NOW).unwrap();
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        ["2.root.json", "2.snapshot.json", "timestamp.json"]
    );
    assert!(repo.accepted().is_empty());
}

/// A root that replaces its own keys needs the threshold of both.
#[test]
fn rotation_of_root_needs_the_old_and_the_new_keys() {
    let (mut repo, _) = ceremony();
    let newer = [key(31).public(), key(32).public()];
    repo.set_signers(RoleName::Root, &newer, 2).unwrap();
    let mut proposal = repo.propose(NOW).unwrap();
    for seed in [31, 32, 11] {
        proposal.sign(&repo, RoleName::Root, &key(seed)).unwrap();
    }
    let met: Vec<_> = proposal.progress(&repo)[0].needs.iter().map(|need| need.is_met()).collect();
    assert_eq!(met, [false, true]);
    let outcome = repo.accept(&proposal);
    assert!(matches!(outcome, Err(SignError::NotEnoughKeys { needed: 2, found: 1, .. })), "{outcome:?}");
    proposal.sign(&repo, RoleName::Root, &key(13)).unwrap();
    repo.accept(&proposal).unwrap();
}

#[test]
fn keys_without_a_say_and_signers_that_lie_add_nothing() {
    struct Liar(PublicKey);
    impl Signer for Liar {
        fn public(&self) -> PublicKey {
            self.0
        }
        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignerError> {
            Ok([7; 64])
        }
    }
    let (mut repo, _) = ceremony();
    repo.set_target(Section::Pins, "pins/x.json", 1, &[1; 32], None).unwrap();
    let mut proposal = repo.propose(NOW).unwrap();
    let before = proposal.clone();
    let releases = role_keys().releases.remove(0);
    let outcome = proposal.sign(&repo, RoleName::Pins, &releases);
    assert!(matches!(outcome, Err(SignError::NotAuthorised { .. })), "{outcome:?}");
    let pins = role_keys().pins.remove(0).public();
    let outcome = proposal.sign(&repo, RoleName::Pins, &Liar(pins));
    assert!(matches!(outcome, Err(SignError::Signer { .. })), "{outcome:?}");
    let outcome = proposal.sign(&repo, RoleName::Root, &key(11));
    assert!(matches!(outcome, Err(SignError::Trust(TrustError::Missing { .. }))), "{outcome:?}");
    assert_eq!(proposal, before);
}

/// Between proposing and accepting somebody else was faster.
#[test]
fn a_stale_proposal_is_refused() {
    let (mut repo, keys) = ceremony();
    repo.set_target(Section::Pins, "pins/mine.json", 1, &[1; 32], None).unwrap();
    let mut mine = repo.propose(NOW).unwrap();
    mine.sign(&repo, RoleName::Pins, &keys.pins[0]).unwrap();
    let mut theirs = Repository::load(repo.files().clone(), Lifetimes::default()).unwrap();
    theirs.set_target(Section::Pins, "pins/theirs.json", 1, &[1; 32], None).unwrap();
    theirs.write(&keys, NOW).unwrap();
    let files = theirs.files().clone();
    let outcome = theirs.accept(&mine);
    assert!(
        matches!(&outcome, Err(SignError::Stale { role, expected: 3, found: 2 }) if role == "pins"),
        "{outcome:?}"
    );
    assert_eq!(theirs.files(), &files);
}

/// The new pins key signs under the new targets, which travel with it.
#[test]
fn a_delegated_role_is_judged_by_the_proposed_delegation() {
    let (mut repo, keys) = ceremony();
    repo.set_signers(RoleName::Pins, &[key(41).public()], 1).unwrap();
    let mut proposal = repo.propose(NOW).unwrap();
    assert_eq!(proposal.roles(), [RoleName::Targets, RoleName::Pins]);
    let old = proposal.sign(&repo, RoleName::Pins, &keys.pins[0]);
    assert!(matches!(old, Err(SignError::NotAuthorised { .. })), "{old:?}");
    proposal.sign(&repo, RoleName::Pins, &key(41)).unwrap();
    for signer in &keys.targets[..2] {
        proposal.sign(&repo, RoleName::Targets, signer).unwrap();
    }
    let first_root = repo.files().root.clone();
    repo.accept(&proposal).unwrap();
    let files = repo.complete(&keys.online(), NOW).unwrap();
    let mut client = Client::new(TrustedFiles::from_root(first_root), NOW).unwrap();
    refresh(&mut client, |wanted| Ok::<_, ()>(files.get(&wanted.name).cloned())).unwrap();
}

#[test]
fn only_offline_roles_can_be_proposed() {
    let (repo, _) = ceremony();
    let snapshot = repo.files().snapshot.clone().unwrap();
    let outcome = Proposal::from_files(&BTreeMap::from([(RoleName::Snapshot, snapshot.clone())]));
    assert!(matches!(outcome, Err(TrustError::Malformed { .. })), "{outcome:?}");
    let outcome = Proposal::from_files(&BTreeMap::from([(RoleName::Pins, snapshot)]));
    assert!(matches!(outcome, Err(TrustError::WrongType { .. })), "{outcome:?}");
}
