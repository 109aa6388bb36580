//! Parsers of foreign bytes, for fuzz targets: the program's own are private.

use std::path::Path;

use anyhow::Context as _;
use image_format::{Role, Sha256};
use signing::UnixTime;

use crate::build::{packages, sbom, secrets};
use crate::casync::{CasyncChunk, CasyncId, CasyncIndex, Hash, cacnk};
use crate::proposal::{Examined, ProposalFile};
use crate::recipe;

/// The recipe that `text` is, all values in words; or the mistake.
///
/// # Errors
/// As for a recipe file named `recipe.toml`.
pub fn recipe(text: &str) -> Result<String, String> {
    let role: Role = "fuzz".parse().map_err(|error| format!("{error}"))?;
    let recipe =
        recipe::parse_alone(Path::new("recipe.toml"), text, &role).map_err(|error| error.to_string())?;
    Ok(format!("{recipe:?}"))
}

/// What a person is shown of a proposal file before signing it, on a machine that trusts `root`.
///
/// # Errors
/// Anything that makes the proposal unacceptable.
pub fn proposal(bytes: &[u8], root: &[u8]) -> anyhow::Result<String> {
    let file = ProposalFile::parse(bytes)?;
    Ok(Examined::from_root(file, root, UnixTime(1_800_000_000))?.words(&[]))
}

/// The identifiers in the bill of materials of a root with this dpkg status, whose packages all have this copyright file.
///
/// # Panics
/// The bill cannot be written or read back.
pub fn packages(text: &str) -> Vec<String> {
    let Ok(installed) = packages::parse(text) else { return Vec::new() };
    let parts = sbom::Parts::with_copyright(installed, text);
    let name = "fuzz@1".parse().expect("the name is valid");
    let digest = Sha256::of(text.as_bytes());
    let subject =
        sbom::Subject { name: &name, epoch: 0, root_hash: digest, agent: digest, suite: "bookworm" };
    let bill = sbom::encode(&subject, &parts).and_then(|bytes| sbom::decode(&bytes));
    let bill =
        bill.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).context("read the bill"));
    let bill = bill.expect("a bill can be read back");
    let ids = bill["packages"].as_array().into_iter().flatten();
    ids.filter_map(|package| package["SPDXID"].as_str().map(str::to_owned)).collect()
}

/// What kind of secret a file of a root is, and why.
pub fn secret(path: &str, content: &[u8]) -> Option<(&'static str, String)> {
    secrets::look_at(path, content)
}

/// The size of the artifact that an index of casync describes, and the index written anew.
///
/// # Errors
/// It is not one, or exceeds a limit.
pub fn caibx(bytes: &[u8]) -> Result<(u64, Vec<u8>), String> {
    let index = CasyncIndex::parse(bytes).map_err(|error| error.to_string())?;
    Ok((index.size(), index.encode()))
}

/// The plain bytes of a chunk of casync's with this id (SHA-512/256) and length.
///
/// # Errors
/// The file is not that chunk.
pub fn cacnk(id: [u8; 32], len: u32, file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let chunk = CasyncChunk { id: CasyncId(id), len };
    Ok(cacnk::decode(cacnk::Form::Compressed, file.to_vec(), &chunk, Hash::Sha512_256)?)
}

/// The id, the length and the file of a chunk of casync's.
///
/// # Panics
/// Compression fails.
pub fn cacnk_of(plain: &[u8]) -> Vec<u8> {
    let file = cacnk::encode(plain).expect("zstd fails only for want of memory");
    let len = plain.len() as u32;
    [&Hash::Sha512_256.id(plain).0[..], &len.to_le_bytes(), &file].concat()
}
