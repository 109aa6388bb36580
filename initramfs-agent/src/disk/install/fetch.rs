//! What no local source has, by the cheapest way that works.

use image_format::device::Device;
use image_format::patch::PatchError;

use super::error::InstallError;
use super::missing::Missing;
use super::segments::{self, Road};
use super::ways::{Choice, Table, Way, Ways, choose};
use super::{Context, InstallStats, News, Seed, Task, chunks};

/// Fetches the entries `numbers` (ascending). A way that fails is not gone again in this installation, and what it did not bring comes by the
/// others; only when none is left it is an error.
pub(super) fn fetch(
    task: &Task<'_>,
    numbers: &[usize],
    context: &mut Context<'_>,
    stats: &mut InstallStats,
) -> Result<(), InstallError> {
    let mut open = Open::new(task, context);
    let mut missing = Missing::new(task.index, numbers);
    let mut is_first = true;
    let mut reason = None;
    while !missing.is_empty() || is_first {
        let (choice, plan) = choose(task.index, &missing, open.ways, open.chunks);
        let Some(choice) = choice else {
            let no_way = InstallError::NoWay { chunks: missing.numbers().count() };
            return Err(reason.unwrap_or(no_way));
        };
        (context.progress)(News::Plan { plan, again: !is_first });
        is_first = false;
        for way in [Way::Patch, Way::Stream, Way::Chunks] {
            let fetched = open.go(task, way, &choice, &mut missing, context, stats)?;
            if let Some(error) = fetched {
                open.close(way);
                (context.progress)(News::Failed { way, error: &error });
                reason = Some(error);
            }
        }
    }
    Ok(())
}

/// The ways that have not failed.
struct Open<'a> {
    ways: Ways<'a>,
    chunks: bool,
    base: Option<&'a dyn Device>,
}

impl<'a> Open<'a> {
    /// A table that does not fit the images is no way.
    fn new(task: &Task<'a>, context: &mut Context<'_>) -> Self {
        let Task { job, index, seeds, .. } = *task;
        let mut fits = |way: Way, table: &Table, seed: Option<&Seed<'_>>| {
            let base = seed.map(|seed| (seed.manifest.root.index.id, seed.index));
            let result: Result<(), PatchError> =
                table.segments.check((job.manifest.root.index.id, index), base);
            if let Err(error) = &result {
                (context.progress)(News::Failed { way, error });
            }
            result.is_ok()
        };
        let base_of = |table: &Table| {
            let base = table.segments.base();
            seeds.iter().find(|seed| Some(seed.manifest.root.index.id) == base)
        };
        let seed = job.ways.patch.and_then(base_of);
        Self {
            ways: Ways {
                patch: job.ways.patch.filter(|table| fits(Way::Patch, table, seed)),
                stream: job.ways.stream.filter(|table| fits(Way::Stream, table, None)),
            },
            chunks: true,
            base: seed.map(|seed| seed.device),
        }
    }

    fn close(&mut self, way: Way) {
        match way {
            Way::Patch => self.ways.patch = None,
            Way::Chunks => self.chunks = false,
            Way::Stream => self.ways.stream = None,
        }
    }

    fn road(&self, way: Way) -> Option<Road<'a>> {
        match way {
            Way::Patch => Some(Road { way, table: self.ways.patch?, base: self.base }),
            Way::Stream => Some(Road { way, table: self.ways.stream?, base: None }),
            Way::Chunks => None,
        }
    }

    /// Whether anything else than chunks may bring what they do not.
    fn has_other(&self) -> bool {
        self.ways.patch.is_some() || self.ways.stream.is_some()
    }

    /// Fetches what `choice` says by `way`. A failure that leaves hope for another way is the result, any other is the error.
    fn go(
        &self,
        task: &Task<'_>,
        way: Way,
        choice: &Choice,
        missing: &mut Missing,
        context: &mut Context<'_>,
        stats: &mut InstallStats,
    ) -> Result<Option<InstallError>, InstallError> {
        let wanted = choice.of(way);
        if wanted.is_empty() {
            return Ok(None);
        }
        let result = match self.road(way) {
            Some(road) => segments::fetch(task, road, wanted, missing, context, stats),
            None => chunks::fetch(task, wanted, missing, self.has_other(), context, stats),
        };
        match result {
            Err(error) if error.blames_source() && (way != Way::Chunks || self.has_other()) => {
                Ok(Some(error))
            }
            result => result,
        }
    }
}
