//! Expiry and clocks.

use image_format::Slot;
use image_format::state::Decision;
use initramfs_agent::fleet::WishError;
use signing::{TrustError, UnixTime};

use crate::world::{NOW, World, refresh};

/// Beyond the timestamp of every publication at [`NOW`], and a clock far ahead: 2038 and later.
const LATER: [UnixTime; 3] =
    [UnixTime(NOW.0 + 31 * 86_400), UnixTime(2_147_483_648), UnixTime(8_589_934_592)];

/// A server that is frozen, or a clock that is ahead: no update, and the slot that was confirmed boots.
#[test]
fn expired_metadata_block_the_update_and_not_the_boot() {
    for later in LATER {
        let mut world = World::new();
        let before = world.slots();
        let frozen = world.pin_next();
        let error = refresh(&mut world, frozen, later).unwrap_err();
        let WishError::Trust(TrustError::Expired { now, .. }) = &error else { panic!("{later}: {error:?}") };
        assert_eq!(*now, later);
        assert!(matches!(world.decide(None), Decision::Boot { slot: Slot::A, trial: false, .. }));
        assert!(world.slots() == before);
        // Signed anew, or with the clock put right, it goes on.
        let files = world.pin_next_at(NOW);
        assert!(refresh(&mut world, files, NOW).is_ok(), "{later}");
    }
}

/// The day-old files are good until they expire, however often they are given.
#[test]
fn a_replay_is_accepted_only_until_it_expires() {
    let mut world = World::new();
    let served = world.served.clone();
    for day in [0, 1, 29] {
        assert!(refresh(&mut world, served.clone(), NOW.plus_days(day)).is_ok(), "day {day}");
    }
    let error = refresh(&mut world, served, NOW.plus_days(30)).unwrap_err();
    assert!(matches!(error, WishError::Trust(TrustError::Expired { .. })), "{error:?}");
}

/// A node whose clock stands at 1970 follows its server, and from then on knows a time that it does not go below.
#[test]
fn a_clock_at_1970_is_survived() {
    let mut world = World::new();
    let files = world.pin_next();
    let wish = refresh(&mut world, files, UnixTime(0)).unwrap();
    let signed = UnixTime(wish.manifest.epoch);
    assert_eq!(wish.signed_time, Some(signed));
    assert_eq!(world.record().newest_time(), Some(signed));
    assert!(initramfs_agent::fleet::clock::now(world.record().newest_time()) >= signed);
}

/// Built on a machine whose clock was ahead of everything: this time is not believed, or no metadata would ever be valid again.
#[test]
fn an_image_from_the_future_does_not_stop_the_clocks() {
    let mut world = World::new();
    let mut image = crate::common::manifest("base@3", 3);
    image.epoch = NOW.plus_days(20_000).0;
    let digest = world.repo.release(&image);
    world.repo.pin("cluster", "base@3", digest);
    let files = world.repo.publish();
    let before = world.record().newest_time();
    assert_eq!(refresh(&mut world, files, NOW).unwrap().signed_time, None);
    assert_eq!(world.record().newest_time(), before);
}
