//! Bytes that a node fetches.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::contest::{self, Contender, command};
use super::peers::{Casync, rauc_block_hashes, size};
use super::report::{Report, Row};
use super::update::{Slot, Way};

/// Measures.
pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let Bench { view, work, pair, .. } = bench;
    let [plain_old, plain_new] = &pair.plain;
    let casync_old = Casync::make(view, work, "wire-old", plain_old)?;
    let casync = Casync::make(view, work, "wire-new", plain_new)?.fetched(&casync_old)?;
    let rauc = rauc_block_hashes(plain_old, plain_new)?;
    let (patch_from, whole, xdelta) = (work.join("patch.zst"), work.join("whole.zst"), work.join("xdelta"));
    let peers = [
        Contender::new("zstd -19 --long=31 --patch-from", || {
            zstd(
                &["-19", "--long=31", &format!("--patch-from={}", pair.old.display())],
                &pair.new,
                &patch_from,
            )
        }),
        Contender::new("zstd -19 -T2, whole image", || zstd(&["-19", "-T2"], &pair.new, &whole)),
        Contender::new("xdelta3 -9", || {
            let mut command = Command::new("xdelta3");
            command.args(["-e", "-f", "-9", "-B", "1073741824", "-W", "16777216", "-s"]);
            command.args([&pair.old, &pair.new, &xdelta]);
            command
        }),
    ];
    let peers = contest::hold(view, 1, &peers)?;
    let (slot, encoder) = Slot::prepare(bench, "best")?;
    let ways = [
        ("bascule: chunks", slot.fetched(Way::Chunks)?),
        ("bascule: patch", slot.fetched(Way::Patch)?),
        ("bascule: whole stream, no old image", slot.fetched(Way::Stream)?),
    ];
    let [patch_from, whole, xdelta] = [size(&patch_from)?, size(&whole)?, size(&xdelta)?];
    let mut figures = vec![
        ("whole image as it is", size(&pair.new)?),
        ("zstd -19 -T2, whole image", whole),
        ("RAUC, block hashes (4 KiB)", rauc),
        ("casync, 64 KiB", casync),
        ("xdelta3 -9", xdelta),
        ("zstd -19 --long=31 --patch-from", patch_from),
    ];
    figures.extend(ways);
    let rows: Vec<Row> = figures.iter().map(|(name, bytes)| row(name, *bytes)).collect();
    report.table("Bytes on the wire", &["way", "MB", "of the image"], &with_share(rows, figures[0].1));
    let chart: Vec<Row> = figures[1..].iter().map(|(name, bytes)| row(name, *bytes)).collect();
    report.picture(
        "wire.svg",
        "An update of ha with its security updates: fetched by a node, MB",
        "MB",
        &chart,
    );
    report.samples(
        "Making a patch and a stream, and what other encoders take",
        &[peers, vec![encoder]].concat(),
    );
    let [chunks, patch, stream] = ways.map(|(_, bytes)| bytes as f64);
    report.at_most("chunks : casync 64 KiB", chunks, casync as f64, 0.50);
    report.at_most("patch : zstd -19 --patch-from", patch, patch_from as f64, 0.75);
    report.at_most("stream : zstd -19 -T2 of the image", stream, whole as f64, 1.05);
    report.at_most("patch : stream", patch, stream, 1.0);
    Ok(())
}

fn zstd(options: &[&str], from: &Path, to: &Path) -> Command {
    let mut zstd = command("zstd", [&from, &"-o", &to]);
    zstd.args(["-q", "-f"]).args(options);
    zstd
}

fn row(name: &str, bytes: u64) -> Row {
    let mb = bytes as f64 / 1e6;
    Row { name: name.to_owned(), value: mb, cells: vec![format!("{mb:.1}")] }
}

fn with_share(mut rows: Vec<Row>, whole: u64) -> Vec<Row> {
    for row in &mut rows {
        row.cells.push(format!("{:.1} %", row.value * 1e8 / whole as f64));
    }
    rows
}
