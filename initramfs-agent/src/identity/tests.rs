use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fleet_protocol::identity::open;
use proptest::prelude::*;

use super::*;

/// Files in memory; power goes at operation `cut`, before or after it took effect.
#[derive(Debug, Clone, Default)]
struct Disk {
    files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    writes: Rc<RefCell<usize>>,
    cut: Option<(usize, bool)>,
}

impl Disk {
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Result<(), ShelfError> {
        let number = *self.writes.borrow();
        *self.writes.borrow_mut() += 1;
        let gone = || ShelfError::Io {
            operation: "write",
            path: "x".into(),
            source: std::io::ErrorKind::Other.into(),
        };
        match self.cut {
            Some((cut, took_effect)) if number >= cut => {
                if number == cut && took_effect {
                    change(&mut self.files.borrow_mut());
                }
                Err(gone())
            }
            _ => {
                change(&mut self.files.borrow_mut());
                Ok(())
            }
        }
    }
}

impl Shelf for Disk {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ShelfError> {
        Ok(self.files.borrow().get(name).cloned())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ShelfError> {
        self.change(|files| drop(files.insert(name.to_owned(), bytes.to_vec())))
    }

    fn remove(&self, name: &str) -> Result<(), ShelfError> {
        self.change(|files| drop(files.remove(name)))
    }
}

/// Random bytes that differ at each call.
fn random() -> impl FnMut(&mut [u8]) -> std::io::Result<()> {
    let mut count = 0;
    move |buffer| {
        count += 1;
        buffer.fill(count);
        Ok(())
    }
}

fn boot() -> BootId {
    "b0".parse().unwrap()
}

fn on(disk: &Disk, random: Random<'_>) -> Result<Identity<Disk>, IdentityError> {
    Identity::on(disk.clone(), random, boot())
}

#[test]
fn a_key_is_made_once() {
    let (disk, mut random) = (Disk::default(), random());
    let first = on(&disk, &mut random).unwrap();
    assert_eq!(first.made(), "the state partition had none");
    let again = on(&disk, &mut random).unwrap();
    assert_eq!((again.public(), again.made()), (first.public(), ""));
}

#[test]
fn damage_and_lost_numbers_make_a_new_key() {
    for (file, content, reason) in [
        (KEY, Some("bascule-node-key-1\n"), "the file of the old one is damaged"),
        (NUMBER, Some("bascule-node-number-1 0065\n"), "the numbers of the old one are lost"),
        (NUMBER, Some("bascule-node-number-1 0\n"), "the numbers of the old one are lost"),
        (NUMBER, Some("bascule-node-number-1 65"), "the numbers of the old one are lost"),
        (NUMBER, None, "the numbers of the old one are lost"),
        (KEY, None, "the state partition had none"),
    ] {
        let (disk, mut random) = (Disk::default(), random());
        let first = on(&disk, &mut random).unwrap().public();
        match content {
            Some(content) => drop(disk.files.borrow_mut().insert(file.to_owned(), content.into())),
            None => drop(disk.files.borrow_mut().remove(file)),
        }
        let new = on(&disk, &mut random).unwrap();
        assert_eq!(new.made(), reason);
        assert_ne!(new.public(), first);
        assert_eq!(on(&disk, &mut random).unwrap().public(), new.public(), "{reason}");
    }
}

/// Power goes before or after each write of three boots of 100 messages, and again in the boot after: no key ever signs a number twice.
#[test]
fn no_cut_brings_a_number_back() {
    let run = |disk: &Disk, random: Random<'_>, used: &mut Vec<(NodePublicKey, u64)>| {
        let Ok(mut identity) = on(disk, random) else { return };
        for _ in 0..100 {
            let Ok(number) = identity.number() else { return };
            used.push((identity.public(), number));
        }
    };
    let mut cases = 0;
    for first in 0..12 {
        for second in 0..6 {
            for effects in [(false, false), (false, true), (true, false), (true, true)] {
                let (mut random, mut used) = (random(), Vec::new());
                let disk = Disk { cut: Some((first, effects.0)), ..Disk::default() };
                for _ in 0..3 {
                    run(&disk, &mut random, &mut used);
                }
                let disk = Disk { cut: Some((second, effects.1)), writes: Rc::default(), ..disk };
                run(&disk, &mut random, &mut used);
                let disk = Disk { cut: None, ..disk };
                run(&disk, &mut random, &mut used);
                let distinct: BTreeSet<_> = used.iter().copied().collect();
                assert_eq!(distinct.len(), used.len(), "cuts at {first} and {second}, {effects:?}");
                assert!(used.len() >= 100);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 288);
}

#[test]
fn what_is_reserved_can_be_used_without_the_disk() {
    let (disk, mut random) = (Disk::default(), random());
    let mut early = on(&disk, &mut random).unwrap().detached();
    for expected in 1..=STEP {
        assert_eq!(early.number().unwrap(), expected);
    }
    assert!(matches!(early.number(), Err(IdentityError::NoNumbers)));
    assert_eq!(on(&disk, &mut random).unwrap().number().unwrap(), STEP + 1);
}

#[test]
fn a_full_disk_stops_signing_and_nothing_else() {
    let (disk, mut random) = (Disk::default(), random());
    drop(on(&disk, &mut random).unwrap());
    let full = Disk { cut: Some((0, false)), writes: Rc::default(), ..disk };
    assert!(matches!(on(&full, &mut random), Err(IdentityError::Shelf(_))));
}

#[test]
fn numbers_end() {
    let (disk, mut random) = (Disk::default(), random());
    drop(on(&disk, &mut random).unwrap());
    let last = number_text(u64::MAX - 1);
    disk.files.borrow_mut().insert(NUMBER.to_owned(), last.into_bytes());
    assert!(matches!(on(&disk, &mut random), Err(IdentityError::EndOfNumbers)));
}

#[test]
fn files_are_private_and_the_directory_is_locked() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().unwrap();
    assert!(Identity::existing(state.path()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0, "looking makes nothing");
    let mut first = Identity::open(state.path()).unwrap();
    assert!(matches!(Identity::open(state.path()), Err(IdentityError::Shelf(ShelfError::InUse(_)))));
    let (key, number) = (first.public(), first.number().unwrap());
    assert_eq!(public_key(state.path()), Some(key), "looking needs no lock");
    drop(first);
    let dir = state.path().join(DIR);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join(KEY)), mode(&dir.join(NUMBER))), (0o700, 0o600, 0o600));

    let mut again = Identity::existing(state.path()).unwrap().unwrap();
    assert_eq!(again.public(), key);
    assert!(again.number().unwrap() > number);
    drop(again);
    // A leftover of a cut is no obstacle.
    std::fs::write(dir.join(".node.number.new"), "half").unwrap();
    assert_eq!(Identity::open(state.path()).unwrap().public(), key);
    let renewed = Identity::renew(state.path()).unwrap();
    assert_ne!(renewed.public(), key);
    assert_eq!(renewed.made(), "an admin asked for a new key");
    drop(renewed);
    std::fs::set_permissions(dir.join(KEY), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(
        Identity::open(state.path()),
        Err(IdentityError::Shelf(ShelfError::Mode { mode: 0o644, .. }))
    ));
}

#[test]
fn an_enrolment_says_why_the_key_is_new() {
    let (disk, mut random) = (Disk::default(), random());
    let mut identity = on(&disk, &mut random).unwrap();
    let node: NodeId = "n1".parse().unwrap();
    let before = "ab".repeat(32);
    let sealed = identity.enrol(&node, Sha256::of(b"root"), None, Some(&before)).unwrap();
    let opened = open(Kind::Enrol, &sealed).unwrap();
    let enrol: Enrol = serde_json::from_slice(opened.payload).unwrap();
    assert_eq!(opened.key, identity.public());
    assert_eq!(enrol.reason, "the state partition had none; this disk had key abababababababab before");
    assert_eq!((enrol.node, enrol.number, enrol.join), (node, 1, None));
}

proptest! {
    #[test]
    fn number_files_have_one_spelling(text in "(bascule-node-number-1 )?[0-9+ ]{0,22}\\n?") {
        if let Some(number) = parse_number(&text) {
            prop_assert_eq!(number_text(number), text);
        }
    }
}
