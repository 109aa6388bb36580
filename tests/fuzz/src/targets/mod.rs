//! The targets, by who reads the bytes.

pub mod admin;
pub mod casync;
pub mod documents;
pub mod formats;
pub mod node;
pub mod server;
pub mod trust;

use crate::Target;

macro_rules! targets {
    ($($module:ident :: $name:ident $rounds:literal),* $(,)?) => {
        /// All targets.
        pub const ALL: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $module::$name,
            seeds: $module::seeds::$name,
            rounds: $rounds,
        }),*];
    };
}

targets! {
    trust::json 16000,
    trust::metadata 8000,
    trust::client 2400,
    documents::manifest 6000,
    documents::pin 12000,
    documents::assignments 12000,
    formats::index 12000,
    formats::chunk 8000,
    formats::file_map 12000,
    formats::record 6000,
    formats::proof 8000,
    formats::grub_env 16000,
    formats::disk 400,
    node::cmdline 16000,
    node::dhcp 16000,
    node::batch_answer 12000,
    server::report 8000,
    server::join_token 16000,
    server::pack 12000,
    server::request 16000,
    admin::recipe 4000,
    admin::proposal 2000,
    admin::packages 8000,
    admin::secrets 4000,
    casync::caibx 12000,
    casync::cacnk 8000,
}
