//! The numbers of one key's messages: each is used once, by one machine.

use std::collections::VecDeque;

use fleet_protocol::identity::BootId;
use serde::{Deserialize, Serialize};

/// How many numbers are remembered with their content.
const RECENT: usize = 16;
/// How many boots are remembered.
const BOOTS: usize = 8;

/// What was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The highest number.
    last: u64,
    /// The latest numbers, each with a digest of its message.
    recent: VecDeque<(u64, u64)>,
    /// The latest boots, the current one last.
    boots: VecDeque<BootId>,
}

/// Why a number is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// The message was here before, or is late.
    Replayed {
        /// The highest number so far.
        last: u64,
    },
    /// The number was used for another message.
    Fork,
    /// An old number from a boot that nobody has heard of: a copy of the key went on from an earlier state.
    Behind {
        /// The highest number so far.
        last: u64,
    },
    /// An earlier boot speaks again: two machines take turns.
    TwoBoots,
}

impl Numbers {
    /// The highest number accepted; 0 when there was none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Accepts a message, or says why not; then nothing changes.
    ///
    /// # Errors
    /// [`Misuse`].
    pub fn accept(&mut self, number: u64, digest: u64, boot: &BootId) -> Result<(), Misuse> {
        let known = self.boots.iter().position(|other| other == boot);
        let current = known.is_some_and(|at| at + 1 == self.boots.len());
        let last = self.last;
        if number <= last {
            return Err(match self.recent.iter().find(|(used, _)| *used == number) {
                Some((_, used_for)) if *used_for == digest => Misuse::Replayed { last },
                Some(_) => Misuse::Fork,
                None if known.is_some() => Misuse::Replayed { last },
                None => Misuse::Behind { last },
            });
        }
        if known.is_some() && !current {
            return Err(Misuse::TwoBoots);
        }
        self.last = number;
        self.recent.push_back((number, digest));
        self.boots.extend(known.is_none().then(|| boot.clone()));
        while self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        while self.boots.len() > BOOTS {
            self.boots.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boot(text: &str) -> BootId {
        text.parse().unwrap()
    }

    #[test]
    fn each_way_to_use_a_number_twice_has_its_name() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.accept(0, 1, &boot("a")), Err(Misuse::Behind { last: 0 }), "numbers begin at 1");
        for number in [1, 2, 10] {
            assert_eq!(numbers.accept(number, number * 7, &boot("a")), Ok(()));
        }
        assert_eq!(numbers.accept(10, 70, &boot("a")), Err(Misuse::Replayed { last: 10 }));
        assert_eq!(numbers.accept(2, 14, &boot("a")), Err(Misuse::Replayed { last: 10 }));
        assert_eq!(numbers.accept(2, 15, &boot("a")), Err(Misuse::Fork));
        assert_eq!(numbers.accept(5, 1, &boot("a")), Err(Misuse::Replayed { last: 10 }), "late, not a fork");
        assert_eq!(numbers.accept(5, 1, &boot("c")), Err(Misuse::Behind { last: 10 }), "a restored copy");
        assert_eq!(numbers.accept(11, 1, &boot("b")), Ok(()), "the next boot");
        assert_eq!(numbers.accept(12, 1, &boot("a")), Err(Misuse::TwoBoots));
        assert_eq!(numbers.accept(12, 1, &boot("b")), Ok(()));
        assert_eq!(numbers.last(), 12);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut numbers = Numbers::default();
        for number in 1..=100 {
            numbers.accept(number, number, &boot(&format!("{number:x}"))).unwrap();
        }
        assert_eq!((numbers.recent.len(), numbers.boots.len()), (RECENT, BOOTS));
        assert!(numbers.accept(u64::MAX, 1, &boot("0")).is_ok());
        assert!(numbers.accept(u64::MAX, 1, &boot("0")).is_err(), "the end of numbers is no wrap");
    }

    proptest! {
        /// However two machines with one key take turns, what is accepted rises, and the second one is noticed by its third message.
        #[test]
        fn two_machines_are_noticed(start in 1..50_u64, turns in prop::collection::vec(any::<bool>(), 8..40)) {
            let mut numbers = Numbers::default();
            let (mut own, mut copy) = (start, start);
            let (mut noticed, mut changes, mut before) = (false, 0, None);
            for (at, is_copy) in turns.into_iter().enumerate() {
                let next = if is_copy { &mut copy } else { &mut own };
                *next += 1;
                let boot = boot(if is_copy { "c" } else { "a" });
                let last = numbers.last();
                let result = numbers.accept(*next, at as u64, &boot);
                prop_assert_eq!(numbers.last() > last, result.is_ok());
                prop_assert!(numbers.last() >= last);
                noticed |= matches!(result, Err(Misuse::Fork | Misuse::Behind { .. } | Misuse::TwoBoots));
                changes += u32::from(before.is_some_and(|before| before != is_copy));
                before = Some(is_copy);
            }
            prop_assert!(noticed || changes < 3, "{changes} changes");
        }
    }
}
