//! What people see, for people to look at: `cargo test -p image-tool --test cli -- look --ignored --nocapture`.

use crate::image::Fake;
use crate::place::Place;

#[test]
#[ignore = "prints for people"]
fn every_verb_once() {
    let place = Place::empty();
    let show = |args: &[&str]| {
        let output = place.command(args).env("CLICOLOR_FORCE", "1").output().unwrap();
        println!(
            "\n$ imgtool {}\n{}{}",
            args.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    show(&["init", "--single-key"]);
    show(&["list"]);
    let mut second = Fake::new("ha@2", 2, 120);
    place.build(&Fake::new("ha@1", 1, 100));
    second.packages =
        vec![("base-files", "12.4+deb12u1"), ("openssh-server", "1:9.2p1-2"), ("tree", "2.1.0-1")];
    second.cmdline += " quiet";
    second.checks.push("chrony.service");
    place.build(&second);
    place.build(&Fake::new("base@1", 1, 30));
    show(&["sign", "ha@1", "ha@2"]);
    show(&["sign", "ha@1"]);
    let store = place.store();
    show(&["publish", "ha@1", "--to", &store]);
    show(&["publish", "--to", &store]);
    show(&["publish", "--to", &store]);
    show(&["pin", "cluster", "ha@1", "--to", &store]);
    show(&["pin", "cluster", "ha@2", "--to", &store, "--disk", "vda", "--wipe"]);
    show(&["assign", "--default", "cluster", "--to", &store]);
    show(&["assign", "52:54:00:12:34:56", "clusterr"]);
    show(&["list", "--to", &store]);
    show(&["inspect", "ha@2"]);
    show(&["diff", "ha@1", "ha@2"]);
    show(&["verify", "--all"]);
    show(&["key", "list"]);
    show(&["pin", "cluster", "ha@3"]);
    show(&["unpin", "clster"]);
    show(&["unpin", "cluster"]);
}
