//! Replays every target: its corpus, and mutations that are the same in every run.

macro_rules! replay {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            bascule_fuzz::replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            let all: Vec<&str> = bascule_fuzz::targets::ALL.iter().map(|target| target.name).collect();
            assert_eq!(all, replayed);
        }
    };
}

replay! {
    json,
    metadata,
    client,
    manifest,
    pin,
    assignments,
    index,
    chunk,
    file_map,
    record,
    proof,
    grub_env,
    disk,
    cmdline,
    dhcp,
    batch_answer,
    report,
    join_token,
    pack,
    request,
    recipe,
    proposal,
    packages,
    secrets,
    caibx,
    cacnk,
}
