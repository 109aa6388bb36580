//! A node with a confirmed slot on a disk (a file) meets a server that lies, over HTTP, as one table.
//!
//! For each lie: the specific error; the node boots its confirmed slot all the same, and neither slot has changed; what it keeps of the
//! metadata is still good; and when the server is honest again, the node installs what is pinned then.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod cases;
#[allow(dead_code, reason = "the other tests count requests")]
#[path = "../common/mod.rs"]
mod common;
mod evidence;
mod floors;
mod roots;
mod times;
mod world;

use image_format::Slot;
use image_format::state::Decision;

use crate::cases::CASES;
use crate::world::{World, refresh};

#[test]
fn lies_block_the_update_and_never_the_boot() {
    for case in CASES {
        let mut world = World::new();
        let before = world.slots();
        let lie = (case.attack)(&mut world);

        let error = refresh(&mut world, lie, world::NOW).expect_err(case.name);
        assert!((case.expected)(&error), "{}: {error:?}", case.name);
        let decision = world.decide(None);
        assert!(
            matches!(decision, Decision::Boot { slot: Slot::A, trial: false, .. }),
            "{}: {decision:?}",
            case.name
        );
        assert!(world.slots() == before, "{}: a slot changed", case.name);

        let honest = world.pin_next();
        let wish = refresh(&mut world, honest, world::NOW);
        let wish = wish.unwrap_or_else(|error| panic!("{}: the next correct attempt: {error:?}", case.name));
        assert_eq!(wish.manifest.name.to_string(), "base@2", "{}", case.name);
        let decision = world.decide(Some(&wish));
        assert!(matches!(decision, Decision::Install { slot: Slot::B, .. }), "{}: {decision:?}", case.name);
    }
}
