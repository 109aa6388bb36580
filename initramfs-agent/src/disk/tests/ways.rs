//! Patches and streams: taken where they cost less, believed by what comes out, left for the next way when they fail.

use std::io;

use image_format::device::Device;
use image_format::device::sim::Fault;
use image_format::index::Index;
use image_format::manifest::ObjectRef;
use image_format::patch::{BlockRange, EntryRun, Segment, SegmentTable, encode_segment};
use image_format::{BLOCK, ObjectId, Slot};

use super::super::install::{
    ChunkSource, Context, EntrySink, InstallError, InstallStats, Job, News, PieceSink, Refused, SourceError,
    Stopped, Table, Ways,
};
use super::super::update::{Update, UpdateError};
use super::world::{
    Image, Server, SimDisk, assert_holds, confirmed_disk, disk_from, image, new_disk, slot_a,
};

/// Entries of a segment of the patch.
const GROUP: usize = 3;
/// Entries of a segment of the stream: none is left alone, and as such the same object as its chunk.
const STREAM_GROUP: usize = 5;
/// Chunks of the second image that are variants of the first one's.
const CHANGED: [usize; 8] = [2, 3, 4, 11, 12, 20, 30, 38];

/// Two images; eight chunks of the second one differ by a few bytes, and one is new.
fn images(server: &mut Server) -> (Image, Image) {
    let first: Vec<u64> = (1..=40).map(|seed| if seed % 10 == 0 { 0 } else { seed }).collect();
    let mut second = first.clone();
    for place in CHANGED {
        second[place] |= 5 << 32;
    }
    second.push(777);
    (image(server, "ha@1", 1, &first), image(server, "ha@2", 2, &second))
}

/// Offsets and lengths of the entries.
fn ranges(index: &Index) -> Vec<(usize, usize)> {
    index.iter_at().map(|(offset, entry)| (offset as usize, entry.plain_len as usize)).collect()
}

/// The segments that make the entries `numbers` of `image`, by what `base` has in the same places.
fn segments(server: &mut Server, image: &Image, base: Option<&Image>, numbers: &[usize]) -> Vec<Segment> {
    let at = ranges(&image.index);
    let cut = |image: &Image, number: usize| image.root[at[number].0..at[number].0 + at[number].1].to_vec();
    let mut made = Vec::new();
    let size = if base.is_some() { GROUP } else { STREAM_GROUP };
    for group in numbers.chunks(size) {
        let plain: Vec<u8> = group.iter().flat_map(|number| cut(image, *number)).collect();
        let (mut prefix, mut blocks) = (Vec::new(), Vec::new());
        for number in group {
            let Some(base) = base.filter(|base| base.root.len() >= at[*number].0 + at[*number].1) else {
                continue;
            };
            prefix.extend(cut(base, *number));
            let (offset, len) = at[*number];
            let block = |bytes: usize| (bytes / BLOCK as usize) as u32;
            blocks.push(BlockRange { first: block(offset), count: block(len) });
        }
        let stored = encode_segment(&plain, &prefix, 3).unwrap();
        made.push(Segment {
            object: put(server, stored.clone()),
            stored_len: stored.len() as u32,
            plain_len: plain.len() as u32,
            base: blocks,
            entries: group.iter().map(|number| EntryRun { first: *number as u32, count: 1 }).collect(),
        });
    }
    made
}

fn put(server: &mut Server, bytes: Vec<u8>) -> ObjectId {
    let id = ObjectId::of(&bytes);
    server.objects.insert(id, bytes);
    id
}

fn table(server: &mut Server, base: Option<&Image>, target: &Image, segments: Vec<Segment>) -> Table {
    let base = base.map(|base| base.manifest.root.index.id);
    let segments = SegmentTable::new(base, target.manifest.root.index.id, segments).unwrap();
    let bytes = segments.encode();
    let size = bytes.len() as u64;
    Table { object: ObjectRef { id: put(server, bytes), size }, segments }
}

/// The patch of the changed chunks.
fn patch(server: &mut Server, first: &Image, second: &Image) -> Table {
    let made = segments(server, second, Some(first), &CHANGED);
    table(server, Some(first), second, made)
}

/// All of an image, in entries that are not zeros.
fn stream(server: &mut Server, image: &Image) -> Table {
    let entries = image.index.entries().iter().enumerate();
    let numbers: Vec<usize> =
        entries.filter(|(_, entry)| !entry.is_zero()).map(|(number, _)| number).collect();
    let made = segments(server, image, None, &numbers);
    table(server, None, image, made)
}

/// What an update told, line by line.
type Lines = Vec<String>;

fn update(
    disk: &SimDisk,
    image: &Image,
    source: &mut dyn ChunkSource,
    ways: Ways<'_>,
) -> (Result<InstallStats, UpdateError>, Lines) {
    let mut record = disk.load_record().record.unwrap_or_default();
    let job = Job { ways, ..image.job() };
    let update = Update { slot: Slot::B, running: None, job, local_cmdline: "panic=10" };
    let mut lines = Vec::new();
    let mut tell = |news: News<'_>| match news {
        News::Plan { plan, .. } => lines.push(plan.to_string()),
        News::Failed { way, error } => lines.push(format!("no {way}: {error}")),
        News::Progress(_) => {}
    };
    let mut context = Context { source, cold: &|| Ok(()), progress: &mut tell };
    let result = update.run(disk, &mut record, &mut context);
    (result, lines)
}

/// Everything for an update by patch, with the whole stream beside it.
struct Case {
    server: Server,
    first: Image,
    second: Image,
    disk: SimDisk,
    patch: Table,
    stream: Table,
}

impl Case {
    fn new() -> Self {
        let mut server = Server::default();
        let (first, second) = images(&mut server);
        let disk = confirmed_disk(&first, &mut server);
        let (patch, stream) = (patch(&mut server, &first, &second), stream(&mut server, &second));
        Self { server, first, second, disk, patch, stream }
    }

    fn server(&self) -> Server {
        Server { objects: self.server.objects.clone(), ..Server::default() }
    }

    fn fresh(&self) -> SimDisk {
        disk_from(self.disk.device().clone())
    }

    fn ways(&self) -> Ways<'_> {
        Ways { patch: Some(&self.patch), stream: Some(&self.stream) }
    }

    fn only_patch(&self) -> Ways<'_> {
        Ways { patch: Some(&self.patch), stream: None }
    }

    /// The number of stored bytes of these entries as chunks.
    fn stored(&self, numbers: &[usize]) -> u64 {
        numbers.iter().map(|number| u64::from(self.second.index.entries()[*number].stored_len)).sum()
    }
}

/// The entry that only chunks and the stream have.
fn new_entry(case: &Case) -> usize {
    case.second.index.entries().len() - 1
}

#[test]
fn a_patch_is_taken_where_it_costs_less() {
    let case = Case::new();
    let mut server = case.server();
    let (result, lines) = update(&case.disk, &case.second, &mut server, case.ways());
    let stats = result.unwrap();
    assert_holds(&case.disk, Slot::B, &case.second, &case.server);
    assert_eq!(stats.fetched_patch_bytes, case.patch.segments.stored_bytes());
    assert_eq!((stats.fetched_chunks, stats.fetched_stream_bytes), (1, 0), "{lines:?}");
    assert_eq!(stats.fetched_chunk_bytes, case.stored(&[new_entry(&case)]));
    let root: u64 = stats.zero_bytes + stats.in_place_bytes + stats.seed_bytes + stats.server_bytes;
    // The kernel is the same, and counts as found here.
    assert_eq!(root, case.second.root.len() as u64 + case.second.manifest.kernel.object.size);
    let bytes = stats.fetched_patch_bytes + stats.fetched_chunk_bytes;
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("0 of 0 MiB are here; the rest costs 0.0 MB by patch, "), "{line}");
    assert!(bytes < 10_000, "{bytes}");
}

#[test]
fn an_empty_disk_takes_the_stream_and_a_full_one_nothing() {
    let case = Case::new();
    let disk = new_disk();
    let (result, lines) = update(&disk, &case.second, &mut case.server(), case.ways());
    let stats = result.unwrap();
    assert_holds(&disk, Slot::B, &case.second, &case.server);
    // A patch without its base is no way, and says so.
    assert!(
        lines[0].starts_with("no patch: segment table: expected one for base none, found index "),
        "{lines:?}"
    );
    assert_eq!(stats.fetched_patch_bytes, 0);
    assert!(stats.fetched_stream_bytes > 0, "{lines:?}");
    let chunks = case.second.index.objects().map(|entry| u64::from(entry.stored_len)).sum::<u64>();
    assert!(
        stats.fetched_stream_bytes + stats.fetched_chunk_bytes
            <= chunks.min(case.stream.segments.stored_bytes())
    );
    let (result, lines) = update(&disk, &case.second, &mut case.server(), case.ways());
    assert_eq!(result.unwrap().fetched_bytes(), 0);
    assert!(lines.last().unwrap().ends_with("are here: nothing to fetch"), "{lines:?}");
}

/// Another object in place of a segment's.
type Damage<'a> = &'a dyn Fn(&mut Server, &mut Segment);

#[test]
fn whatever_is_wrong_with_a_segment_its_chunks_are_fetched() {
    let case = Case::new();
    let other = |segment: &mut Segment, server: &mut Server, plain: &[u8]| {
        let stored = encode_segment(plain, &[], 3).unwrap();
        segment.stored_len = stored.len() as u32;
        segment.object = put(server, stored);
    };
    let cases: [(&str, Damage<'_>); 7] = [
        ("fetch of 3 segments of the patch failed", &|server, segment| {
            server.objects.remove(&segment.object);
        }),
        ("segment 1 of the patch: stored bytes: expected ", &|server, segment| {
            server.objects.insert(segment.object, vec![7; segment.stored_len as usize]);
        }),
        ("segment 1 of the patch: stored bytes: expected ", &|server, segment| {
            server.objects.insert(segment.object, vec![7; segment.stored_len as usize + 1]);
        }),
        ("fetch of segments: expected all of segment 1, found byte 0 of segment 2", &|server, segment| {
            server.objects.insert(segment.object, vec![7; segment.stored_len as usize - 1]);
        }),
        ("segment 1 of the patch: decoding", &|server, segment| {
            segment.object = put(server, vec![7; segment.stored_len as usize]);
        }),
        ("segment 1 of the patch: decoding", &|server, segment| {
            other(segment, server, &vec![7; segment.plain_len as usize + 1]);
        }),
        ("chunk 11: plain bytes: expected ", &|server, segment| {
            other(segment, server, &vec![7; segment.plain_len as usize]);
        }),
    ];
    for (text, damage) in cases {
        let disk = case.fresh();
        let mut server = case.server();
        server.refuses = true;
        let mut made = case.patch.segments.segments().to_vec();
        damage(&mut server, &mut made[1]);
        let patch = table(&mut server, Some(&case.first), &case.second, made);
        let (result, lines) =
            update(&disk, &case.second, &mut server, Ways { patch: Some(&patch), stream: None });
        let stats = result.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        assert!(
            lines.iter().any(|line| line.starts_with(&format!("no patch: {text}"))),
            "{text}: {lines:#?}"
        );
        assert!(stats.fetched_patch_bytes > 0, "the segment before the damaged one is of use: {lines:#?}");
        let damaged = case.stored(&CHANGED[GROUP..2 * GROUP]);
        assert!(stats.fetched_chunk_bytes >= damaged + case.stored(&[new_entry(&case)]), "{lines:#?}");
        assert!(slot_a(&disk) == slot_a(&case.disk));
    }
}

#[test]
fn a_table_that_does_not_fit_the_images_is_no_way() {
    let case = Case::new();
    let segment = |change: &dyn Fn(&mut Segment)| {
        let mut made = case.patch.segments.segments().to_vec();
        change(&mut made[0]);
        made
    };
    let zero = case.second.index.entries().iter().position(|entry| entry.is_zero()).unwrap() as u32;
    let blocks = (case.first.root.len() / BLOCK as usize) as u32;
    let cases: [(&str, Vec<Segment>); 6] = [
        ("segment 0: expected data entries of", segment(&|segment| segment.entries[2].first = 9_999_999)),
        ("segment 0: expected data entries of", segment(&|segment| segment.entries[2].first = zero)),
        ("segment 0: expected ", segment(&|segment| segment.plain_len += 1)),
        ("segment 0: expected blocks of the ", segment(&|segment| segment.base[0].first = blocks)),
        ("segment 0: expected blocks of the ", segment(&|segment| segment.base[0].first = u32::MAX)),
        ("segment 3: expected each entry once, found entry", {
            let mut made = case.patch.segments.segments().to_vec();
            made.push(made[0].clone());
            made
        }),
    ];
    for (text, made) in cases {
        let mut server = case.server();
        let disk = case.fresh();
        let patch = table(&mut server, Some(&case.first), &case.second, made);
        let (result, lines) =
            update(&disk, &case.second, &mut server, Ways { patch: Some(&patch), stream: None });
        let stats = result.unwrap();
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        assert!(lines[0].starts_with(&format!("no patch: {text}")), "{text}: {lines:#?}");
        assert_eq!(stats.fetched_patch_bytes, 0);
    }
    // Another image's table, and a stream that says it has a base.
    let mut server = case.server();
    let made = case.patch.segments.segments().to_vec();
    let foreign = table(&mut server, Some(&case.second), &case.second, made);
    let (result, lines) =
        update(&case.fresh(), &case.second, &mut server, Ways { patch: Some(&foreign), stream: None });
    assert!(lines[0].starts_with("no patch: segment table: expected one for base "), "{lines:?}");
    assert_eq!(result.unwrap().fetched_patch_bytes, 0);
    let ways = Ways { patch: None, stream: Some(&case.patch) };
    let (result, lines) = update(&case.fresh(), &case.second, &mut server, ways);
    assert!(lines[0].starts_with("no stream: segment table: expected one for base none"), "{lines:?}");
    assert_eq!(result.unwrap().fetched_stream_bytes, 0);
}

#[test]
fn chunks_that_fail_come_by_the_stream() {
    let case = Case::new();
    let lost = case.second.index.entries()[new_entry(&case)].object;
    type Lose<'a> = &'a dyn Fn(&mut Server);
    let damages: [Lose<'_>; 2] = [
        &|server| {
            server.objects.remove(&lost);
        },
        &|server| {
            server.objects.insert(lost, b"rotten".to_vec());
        },
    ];
    for damage in damages {
        let disk = case.fresh();
        let mut server = case.server();
        server.refuses = true;
        damage(&mut server);
        let (result, lines) = update(&disk, &case.second, &mut server, case.ways());
        let stats = result.unwrap();
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        assert!(lines.iter().any(|line| line.starts_with("no chunks: ")), "{lines:#?}");
        assert_eq!(
            stats.fetched_stream_bytes,
            u64::from(case.stream.segments.segments().last().unwrap().stored_len)
        );
        // Where there is no other way, the chunk is the error.
        let disk = case.fresh();
        let mut server = case.server();
        server.refuses = true;
        damage(&mut server);
        let (result, lines) = update(&disk, &case.second, &mut server, case.only_patch());
        let Err(UpdateError::Install { source, .. }) = result else { panic!("{lines:?}") };
        assert!(source.blames_source(), "{source}");
        assert!(disk.slot_image(Slot::B).is_err());
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_not_asked_another_way() {
    let case = Case::new();
    let mut server = case.server();
    server.dies_after = Some(1);
    let (result, lines) = update(&case.fresh(), &case.second, &mut server, case.ways());
    let Err(UpdateError::Install { source, .. }) = result else { panic!("{lines:?}") };
    assert!(matches!(source, InstallError::Source { .. }) && !source.blames_source(), "{source}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(server.given.len(), 1);
}

#[test]
fn a_seed_that_is_not_what_it_says_costs_chunks() {
    let case = Case::new();
    let at = ranges(&case.second.index)[CHANGED[3]].0;
    let damages: [&dyn Fn(&SimDisk); 2] =
        [&|disk| disk.slot(Slot::A).write_at(b"rotten", at as u64 + 2000).unwrap(), &|disk| {
            let slot = super::world::range(image_format::disk_layout::Partition::Slot(Slot::A));
            disk.device().break_sector(slot.start + at as u64 + 512);
        }];
    for damage in damages {
        let disk = case.fresh();
        damage(&disk);
        let mut server = case.server();
        let (result, lines) = update(&disk, &case.second, &mut server, case.only_patch());
        let stats = result.unwrap();
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        let told = lines.iter().filter(|line| line.starts_with("no patch: ")).count();
        assert_eq!(told, 1, "{lines:#?}");
        assert!(stats.fetched_chunk_bytes >= case.stored(&[CHANGED[3], new_entry(&case)]));
        assert!(stats.fetched_chunk_bytes <= case.stored(&CHANGED) + case.stored(&[new_entry(&case)]));
    }
}

/// A server, and something that happens before the n-th object.
struct Meanwhile<'a> {
    server: Server,
    before: usize,
    happens: &'a dyn Fn(),
}

impl Meanwhile<'_> {
    fn step(&mut self) {
        if self.before == 0 {
            (self.happens)();
        }
        self.before = self.before.wrapping_sub(1);
    }
}

impl ChunkSource for Meanwhile<'_> {
    fn fetch(
        &mut self,
        index: &ObjectRef,
        entries: &Index,
        wanted: &[usize],
        sink: &mut EntrySink<'_>,
    ) -> Result<(), SourceError> {
        self.step();
        self.server.fetch(index, entries, wanted, sink)
    }

    fn fetch_segments(
        &mut self,
        table: &ObjectRef,
        segments: &SegmentTable,
        wanted: &[usize],
        sink: &mut PieceSink<'_>,
    ) -> Result<(), SourceError> {
        for number in wanted {
            self.step();
            self.server.fetch_segments(table, segments, &[*number], sink)?;
        }
        Ok(())
    }

    fn fetch_object(
        &mut self,
        object: &ObjectRef,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
    ) -> Result<(), SourceError> {
        self.server.fetch_object(object, sink)
    }
}

#[test]
fn a_seed_that_changes_under_way_costs_chunks() {
    let case = Case::new();
    for before in 0..3 {
        let disk = case.fresh();
        let happens = || {
            for number in CHANGED {
                let at = ranges(&case.second.index)[number].0 as u64;
                disk.slot(Slot::A).write_at(&[0xee; 700], at + 100).unwrap();
            }
        };
        let mut source = Meanwhile { server: case.server(), before, happens: &happens };
        let (result, lines) = update(&disk, &case.second, &mut source, case.only_patch());
        let stats = result.unwrap();
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        assert!(lines.iter().any(|line| line.starts_with("no patch: chunk ")), "{lines:#?}");
        assert!(stats.fetched_chunks >= 1);
    }
}

#[test]
fn pieces_of_a_segment_may_begin_anew() {
    /// Breaks each segment in the middle once, and begins it again.
    struct Broken(Server);
    impl ChunkSource for Broken {
        fn fetch(
            &mut self,
            index: &ObjectRef,
            entries: &Index,
            wanted: &[usize],
            sink: &mut EntrySink<'_>,
        ) -> Result<(), SourceError> {
            self.0.fetch(index, entries, wanted, sink)
        }

        fn fetch_segments(
            &mut self,
            _table: &ObjectRef,
            segments: &SegmentTable,
            wanted: &[usize],
            sink: &mut PieceSink<'_>,
        ) -> Result<(), SourceError> {
            for number in wanted {
                let stored = &self.0.objects[&segments.segments()[*number].object];
                let half = stored.len() / 2;
                sink(*number, 0, &stored[..half])?;
                sink(*number, 0, &stored[..half + 1])?;
                sink(*number, half as u64 + 1, &stored[half + 1..])?;
            }
            Ok(())
        }

        fn fetch_object(
            &mut self,
            object: &ObjectRef,
            sink: &mut dyn FnMut(&[u8]) -> Result<(), Stopped>,
        ) -> Result<(), SourceError> {
            self.0.fetch_object(object, sink)
        }
    }
    let case = Case::new();
    let (result, lines) = update(&case.disk, &case.second, &mut Broken(case.server()), case.only_patch());
    assert_eq!(result.unwrap().fetched_patch_bytes, case.patch.segments.stored_bytes(), "{lines:?}");
    assert_holds(&case.disk, Slot::B, &case.second, &case.server);
}

#[test]
fn an_interrupted_patch_is_taken_up_and_only_what_is_missing_is_fetched() {
    let case = Case::new();
    for segments in 0..=3 {
        let disk = case.fresh();
        let mut server = case.server();
        server.dies_after = Some(segments);
        update(&disk, &case.second, &mut server, case.only_patch()).0.unwrap_err();
        // A cut after which everything that was written is there.
        let disk = disk_from(disk.device().power_cut(|_| true));
        let mut server = case.server();
        let (result, lines) = update(&disk, &case.second, &mut server, case.only_patch());
        let stats = result.unwrap();
        assert_holds(&disk, Slot::B, &case.second, &case.server);
        let rest: u64 =
            case.patch.segments.segments()[segments..].iter().map(|s| u64::from(s.stored_len)).sum();
        assert_eq!(stats.fetched_patch_bytes, rest, "{segments} came before: {lines:?}");
        assert_eq!(stats.fetched_chunks, 1);
    }
}

#[test]
fn a_cut_anywhere_in_a_patch_loses_nothing() {
    let case = Case::new();
    let whole = case.fresh();
    whole.device().set_fault(Fault::None);
    update(&whole, &case.second, &mut case.server(), case.ways()).0.unwrap();
    let operations = whole.device().operations();
    let mut states = 0;
    for at in 0..operations {
        let cut = case.fresh();
        cut.device().set_fault(Fault::PowerCut { at });
        update(&cut, &case.second, &mut case.server(), case.ways()).0.unwrap_err();
        for survives in [0_u64, 1, 2, 3] {
            let mut state = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ survives;
            let disk = disk_from(cut.device().power_cut(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                survives == 1 || (survives > 1 && state >> 63 == 1)
            }));
            assert!(slot_a(&disk) == slot_a(&case.disk), "operation {at}");
            if disk.slot_image(Slot::B).is_err() {
                update(&disk, &case.second, &mut case.server(), case.ways()).0.unwrap();
            }
            assert_holds(&disk, Slot::B, &case.second, &case.server);
            states += 1;
        }
    }
    println!("{states} crash states, 0 violations");
}

#[test]
fn the_disk_sees_the_same_writes_in_the_same_order_every_time() {
    let case = Case::new();
    let run = |at| {
        let disk = case.fresh();
        disk.device().set_fault(Fault::Error { at, kind: io::ErrorKind::Other });
        let result = update(&disk, &case.second, &mut case.server(), case.ways()).0;
        let all = super::world::range(image_format::disk_layout::Partition::Slot(Slot::B));
        (result.is_ok(), disk.device().operations(), disk.device().content(all))
    };
    for at in [5, 9, 13, 17, 21, u64::MAX] {
        let first = run(at);
        for _ in 0..5 {
            assert!(run(at) == first, "failure of operation {at}");
        }
    }
}

#[test]
fn errors_of_the_source_keep_their_causes() {
    let refused = Refused("404 Not Found".into());
    assert_eq!(refused.to_string(), "404 Not Found");
    assert!(std::error::Error::source(&refused).is_none());
}
