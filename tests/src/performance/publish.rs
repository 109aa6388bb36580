//! Cutting an image into chunks and storing them durably.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::contest::{self, Contender, command};
use super::ignore_absent;
use super::pair::Pair;
use super::peers::{Casync, chunks, size};
use super::report::Report;
use crate::workspace;

/// Measures.
pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let Bench { view, work, pair, runs } = bench;
    let (store, index) = (work.join("store"), work.join("index"));
    let casync = Casync { index: work.join("publish.caibx"), store: work.join("publish.castr") };
    let zst = work.join("publish.zst");
    let empty = |dir: &Path| {
        fs::remove_dir_all(dir).or_else(ignore_absent).with_context(|| format!("remove {}", dir.display()))
    };
    let fresh = contest::hold(
        view,
        *runs,
        &[
            Contender::new("bascule: imgtool chunk, durable", || chunk(pair, &store, &index, &[]))
                .after(|| empty(&store)),
            Contender::new("zstd -3 -T2, one file, not flushed", || {
                let mut zstd = command("zstd", [&"-o", &zst, &pair.new]);
                zstd.args(["-q", "-f", "-3", "-T2"]);
                zstd
            }),
            Contender::new("casync make, not flushed", || casync.command(&pair.new))
                .after(|| empty(&casync.store)),
        ],
    )?;
    let again = contest::hold(
        view,
        *runs,
        &[
            Contender::new("bascule: imgtool chunk --known, unchanged", || {
                chunk(pair, &store, &index, &["--known".into(), index.clone().into_os_string()])
            }),
            Contender::new("b3sum --num-threads 2", || {
                let mut b3sum = command("b3sum", [&pair.new]);
                b3sum.args(["--num-threads", "2"]);
                b3sum
            }),
        ],
    )?;
    let ours = total(&store.join("packs"))? + total(&store.join("objects"))?;
    let theirs: u64 = chunks(&casync.store)?.values().sum();
    report.samples("Publishing a fresh image", &fresh);
    report.samples("Publishing an image that is there", &again);
    report.at_most("publish fresh : zstd -3 -T2", fresh[0].median(), fresh[1].median(), 1.5);
    report.at_most("store : casync's store", ours as f64, theirs as f64, 1.0);
    report.at_most("publish unchanged : b3sum", again[0].median(), again[1].median(), 1.5);
    report.at_most("index : image", size(&index)? as f64, size(&pair.new)? as f64, 0.003);
    Ok(())
}

fn chunk(pair: &Pair, store: &Path, index: &Path, more: &[std::ffi::OsString]) -> Command {
    let map: PathBuf = Pair::map(&pair.new);
    let mut chunk = Command::new(workspace::program("imgtool"));
    chunk.args(["--json", "chunk"]).arg(&pair.new).arg("--store").arg(store);
    chunk.arg("--index").arg(index).arg("--map").arg(map).args(more);
    chunk
}

/// Bytes of all files below a directory.
fn total(dir: &Path) -> Result<u64> {
    let listing = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        listing => listing.with_context(|| format!("list {}", dir.display()))?,
    };
    let mut sum = 0;
    for entry in listing {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { total(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
