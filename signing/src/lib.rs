//! Keys, canonical JSON and The Update Framework (TUF 1.0.34): bytes in, verified values out.
//!
//! Nothing here reads a file, opens a socket or asks for the time: the caller fetches what [`Client::next`] names, feeds the
//! bytes back, and persists [`Client::trusted`]. Every step of the specification's client workflow (section 5) either
//! advances the trusted state or returns a [`TrustError`] that names the attack and leaves the state as it was.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`hex`] | the one spelling of bytes in text |
//! | [`json`] | strict parser (no duplicate keys, integers only), OLPC canonical form |
//! | [`time`] | seconds since 1970 and their only accepted text form |
//! | [`key`] | Ed25519 public keys, key ids |
//! | [`metadata`] | the four role types, envelopes, hashes |
//! | [`verify`] | the one threshold loop |
//! | [`client`] | the client workflow, without I/O |
//! | `online` | signing snapshot and timestamp, nothing else; only with the feature `online-keys` |
//! | `secret`, `repo` | secret keys and writing metadata, only with the feature `secret-keys` |
//! | [`signer`] | what signs without showing its key |
//!
//! Only Ed25519 is verified, with `verify_strict`. Keys of other types may stand in metadata; their signatures never count.
//! Not guaranteed here: that the clock is right (the caller passes the time), and that stored trusted files were not rolled
//! back by someone who can write the caller's disk.

pub mod client;
mod error;
pub mod hex;
pub mod json;
pub mod key;
pub mod limits;
pub mod metadata;
#[cfg(feature = "online-keys")]
pub mod online;
#[cfg(feature = "secret-keys")]
pub mod repo;
#[cfg(feature = "secret-keys")]
pub mod secret;
#[cfg(all(feature = "online-keys", not(feature = "secret-keys")))]
#[expect(
    unreachable_pub,
    reason = "public only with `secret-keys`: here secret keys are seen by `online` alone"
)]
mod secret;
#[cfg(feature = "online-keys")]
mod sign;
#[cfg(feature = "online-keys")]
pub mod signer;
pub mod time;
pub mod verify;

pub use client::{
    Client, Fetch, Find, RefreshError, TargetInfo, TrustedFiles, find_target, load_all, refresh,
};
pub use error::TrustError;
pub use json::{JsonError, Value, from_value, parse, to_canonical, to_json};
pub use key::{KeyError, KeyId, PublicKey};
#[cfg(feature = "secret-keys")]
pub use secret::SecretKey;
#[cfg(feature = "online-keys")]
pub use sign::SignError;
#[cfg(feature = "online-keys")]
pub use signer::{Signer, SignerError};
pub use time::UnixTime;
