use fleet_protocol::identity::NodeKey;
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> NodePublicKey {
    NodeKey::from_seed(&[seed; 32]).unwrap().public()
}

fn message(seed: u8, number: u64) -> Message {
    Message::of(key(seed), number, "b0".parse().unwrap(), &number.to_le_bytes())
}

fn state(keys: &Keys) -> EnrolmentState {
    keys.state(|_| false)
}

#[test]
fn from_nothing_to_approved() {
    let mut keys = Keys::default();
    assert_eq!(state(&keys), EnrolmentState::None);
    assert_eq!(keys.judge(&message(1, 1), &Known::default(), UnixTime(10)), Ok(Standing::Pending));
    assert_eq!(
        (state(&keys), keys.pending[0].note.as_str()),
        (EnrolmentState::Pending, "waits for approval")
    );
    assert!(!keys.approve(&key(2), "admin", UnixTime(11)));
    assert!(keys.approve(&key(1), "admin", UnixTime(11)));
    assert_eq!((state(&keys), keys.pending.len()), (EnrolmentState::Approved, 0));
    // The numbers go on: what was said before approval cannot be said again.
    let replayed = keys.judge(&message(1, 1), &Known::default(), UnixTime(12)).unwrap_err();
    assert_eq!(replayed.refusal, Refusal::Replayed);
    assert_eq!(keys.judge(&message(1, 2), &Known::default(), UnixTime(12)), Ok(Standing::Approved));
    assert_eq!(keys.approved.unwrap().last_used, UnixTime(12));
}

#[test]
fn another_key_waits_and_never_speaks_for_the_node() {
    let mut keys = Keys::default();
    keys.judge(&message(1, 5), &Known::default(), UnixTime(10)).unwrap();
    keys.approve(&key(1), "admin", UnixTime(10));
    let wiped = Message { reason: "the state partition is new".into(), ..message(2, 1) };
    let standing = keys.judge(&wiped, &Known::default(), UnixTime(20)).unwrap();
    let fault = standing.trust().unwrap_err();
    assert_eq!(fault.refusal, Refusal::OtherKey);
    assert_eq!(state(&keys), EnrolmentState::Pending);
    let note = format!("a new key; the approved one is {}: the state partition is new", key(1).short());
    assert_eq!(keys.pending[0].note, note);
    keys.judge(&message(2, 2), &Known::default(), UnixTime(21)).unwrap();
    assert_eq!(keys.pending[0].note, note, "a report gives no reason, and takes none away");
    assert_eq!(keys.judge(&message(1, 6), &Known::default(), UnixTime(30)), Ok(Standing::Approved));
    assert_eq!(state(&keys), EnrolmentState::Approved, "the approved key spoke last");
    assert!(keys.approve(&key(2), "admin", UnixTime(40)));
    let old = keys.judge(&message(1, 7), &Known::default(), UnixTime(50)).unwrap();
    assert!(matches!(old, Standing::Rival(fault) if fault.refusal == Refusal::OtherKey));
}

#[test]
fn a_revoked_key_is_refused_and_the_next_one_waits() {
    let mut keys = Keys::default();
    keys.judge(&message(1, 1), &Known::default(), UnixTime(10)).unwrap();
    keys.approve(&key(1), "admin", UnixTime(10));
    let revoked =
        Known { revoked: Some("yesterday: stolen".into()), approved_revoked: true, elsewhere: None };
    let fault = keys.judge(&message(1, 2), &revoked, UnixTime(20)).unwrap_err();
    assert_eq!(fault.refusal, Refusal::RevokedKey);
    assert!(fault.message.contains("yesterday: stolen"), "{fault}");
    assert_eq!(keys.state(|found| *found == key(1)), EnrolmentState::Revoked);
    let known = Known { approved_revoked: true, ..Known::default() };
    assert_eq!(keys.judge(&message(2, 1), &known, UnixTime(30)), Ok(Standing::Pending));
    assert_eq!(keys.state(|found| *found == key(1)), EnrolmentState::Pending);
}

#[test]
fn one_key_at_two_machines_leaves_a_mark_until_the_admin_looks() {
    let mut keys = Keys::default();
    for number in 1..4 {
        keys.judge(&message(1, number), &Known::default(), UnixTime(10)).unwrap();
    }
    keys.approve(&key(1), "admin", UnixTime(10));
    let fork = Message { digest: 1, ..message(1, 3) };
    assert_eq!(
        keys.judge(&fork, &Known::default(), UnixTime(11)).unwrap_err().refusal,
        Refusal::KeyUsedTwice
    );
    assert_eq!(keys.used_twice.as_deref(), Some("number 3 was used for another message"));
    keys.judge(&message(1, 4), &Known::default(), UnixTime(12)).unwrap();
    assert!(keys.used_twice.is_some(), "one good message does not make up for it");
    assert!(keys.approve(&key(1), "admin", UnixTime(13)));
    assert_eq!(keys.used_twice, None);

    let elsewhere = Known { elsewhere: Some("n9".parse().unwrap()), ..Known::default() };
    let standing = Keys::default().judge(&message(1, 1), &elsewhere, UnixTime(10)).unwrap();
    assert!(matches!(standing, Standing::Rival(fault) if fault.refusal == Refusal::KeyUsedTwice));
}

#[test]
fn a_waiting_key_with_a_restored_disk_is_heard_and_marked() {
    let mut keys = Keys::default();
    for number in 10..15 {
        keys.judge(&message(1, number), &Known::default(), UnixTime(10)).unwrap();
    }
    let repeated = keys.judge(&message(1, 14), &Known::default(), UnixTime(11)).unwrap_err();
    assert_eq!((repeated.refusal, keys.used_twice.as_ref()), (Refusal::Replayed, None));
    for number in 3..6 {
        let restored = Message { boot: "b1".parse().unwrap(), ..message(1, number) };
        assert_eq!(keys.judge(&restored, &Known::default(), UnixTime(12)), Ok(Standing::Pending));
    }
    let what = "number 3 of unknown boot b1, behind 14: a copied key, or a restored disk";
    assert_eq!(keys.used_twice.as_deref(), Some(what));
    assert_eq!(keys.pending[0].numbers.last(), 5);
}

#[test]
fn waiting_keys_are_few() {
    let mut keys = Keys::default();
    for seed in 1..=20 {
        let message = Message { reason: "x\u{1b}".repeat(500), ..message(seed, 1) };
        keys.judge(&message, &Known::default(), UnixTime(seed.into())).unwrap();
    }
    assert_eq!(keys.pending.len(), PENDING_MAX);
    assert_eq!(keys.pending[0].key, key(20));
    assert!(keys.pending[0].note.chars().count() <= NOTE_MAX && !keys.pending[0].note.contains('\u{1b}'));
}

proptest! {
    /// Whatever three keys say in whatever order: only the approved key speaks for the node, each of its numbers once and rising.
    #[test]
    fn only_rising_numbers_of_the_approved_key_count(
        said in prop::collection::vec((1..4_u8, 0..12_u64, 0..3_u8, any::<u64>()), 0..60),
    ) {
        let mut keys = Keys::default();
        keys.judge(&message(1, 1), &Known::default(), UnixTime(0)).unwrap();
        keys.approve(&key(1), "admin", UnixTime(0));
        let mut last = 1;
        for (at, (seed, number, boot, digest)) in (1..).zip(said) {
            let boot = format!("b{boot}").parse().unwrap();
            let message = Message { boot, digest, ..message(seed, number) };
            let before = keys.approved.clone();
            match keys.judge(&message, &Known::default(), UnixTime(at)) {
                Ok(Standing::Approved) => {
                    prop_assert!(seed == 1 && number > last);
                    last = number;
                }
                Ok(Standing::Pending) => prop_assert!(false, "a key is approved"),
                Ok(Standing::Rival(fault)) => {
                    prop_assert!(seed != 1 && fault.refusal == Refusal::OtherKey);
                    prop_assert_eq!(&keys.approved, &before);
                }
                Err(_) => prop_assert_eq!(&keys.approved, &before),
            }
            prop_assert!(keys.pending.len() <= PENDING_MAX);
        }
    }
}
