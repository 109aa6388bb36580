//! Numbers about the chunks of an image.

use image_format::index::Index;
use serde::Serialize;

use crate::ui::size::{bytes, percent, plural};
use crate::ui::style::dim;
use crate::ui::table::properties;

/// Widest bar of the histogram, in characters.
const BAR: usize = 40;

/// What an index holds.
#[derive(Debug, Serialize)]
pub(crate) struct ChunkStats {
    /// Entries, zero runs included.
    pub(crate) entries: usize,
    /// Distinct stored objects.
    pub(crate) objects: u64,
    /// Bytes in zero runs.
    pub(crate) zero_bytes: u64,
    /// Plain bytes of the distinct objects.
    pub(crate) unique_bytes: u64,
    /// Their stored bytes.
    pub(crate) stored_bytes: u64,
    /// Objects that are stored without compression.
    pub(crate) raw_objects: u64,
    /// Distinct objects by plain size: at most so many KiB → number.
    pub(crate) sizes: Vec<Bucket>,
}

/// Objects of about one size.
#[derive(Debug, Serialize)]
pub(crate) struct Bucket {
    /// Largest plain size in KiB.
    pub(crate) up_to_kib: u64,
    /// How many.
    pub(crate) objects: u64,
}

impl ChunkStats {
    /// Counts.
    pub(crate) fn of(index: &Index) -> Self {
        let mut stats = Self {
            entries: index.entries().len(),
            objects: 0,
            zero_bytes: index
                .entries()
                .iter()
                .filter(|entry| entry.is_zero())
                .map(|entry| u64::from(entry.plain_len))
                .sum(),
            unique_bytes: 0,
            stored_bytes: 0,
            raw_objects: 0,
            sizes: [4, 8, 16, 32, 64, 128, 256].map(|up_to_kib| Bucket { up_to_kib, objects: 0 }).into(),
        };
        for entry in index.objects() {
            let plain = u64::from(entry.plain_len);
            stats.objects += 1;
            stats.unique_bytes += plain;
            stats.stored_bytes += u64::from(entry.stored_len);
            stats.raw_objects += u64::from(entry.plain_len == entry.stored_len);
            if let Some(bucket) = stats.sizes.iter_mut().find(|bucket| plain <= bucket.up_to_kib << 10) {
                bucket.objects += 1;
            }
        }
        stats
    }

    /// For people, with a histogram.
    pub(crate) fn text(&self) -> String {
        let objects = usize::try_from(self.objects).unwrap_or(usize::MAX);
        let mut text = properties(&[
            ("entries", plural(self.entries, "chunk")),
            (
                "stored",
                format!(
                    "{}, {} for {} ({}), {} of them uncompressed",
                    plural(objects, "object"),
                    bytes(self.stored_bytes),
                    bytes(self.unique_bytes),
                    percent(self.stored_bytes, self.unique_bytes),
                    self.raw_objects
                ),
            ),
            ("zeros", format!("{}, not stored", bytes(self.zero_bytes))),
        ]);
        let most = self.sizes.iter().map(|bucket| bucket.objects).max().unwrap_or(0).max(1);
        let used = self.sizes.iter().rposition(|bucket| bucket.objects > 0).map_or(0, |last| last + 1);
        for Bucket { up_to_kib, objects } in &self.sizes[..used] {
            // A bucket with anything in it shows at least one mark.
            let width = (*objects as usize * BAR / most as usize).max(usize::from(*objects > 0));
            text += &format!(
                "  {:>9}  {:>7} {}\n",
                dim(format!("≤ {up_to_kib:>3} KiB")),
                objects,
                "█".repeat(width)
            );
        }
        text
    }
}
