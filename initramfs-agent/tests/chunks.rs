//! Chunks over a network that breaks: every chunk arrives once, and only what is missing is asked for again.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use image_format::index::{Entry, Index};
use image_format::manifest::ObjectRef;
use image_format::patch::{EntryRun, Segment, SegmentTable};
use image_format::{ChunkId, ObjectId};
use initramfs_agent::disk::install::{ChunkSource as _, Refused, Stopped};
use initramfs_agent::fleet::Server;

const STORED: usize = 1000;

fn index() -> (ObjectRef, Index) {
    let entry = |n: u8| {
        let bytes = vec![n; STORED];
        Entry {
            chunk: ChunkId::of(&[n]),
            object: ObjectId::of(&bytes),
            plain_len: 4096,
            stored_len: STORED as u32,
        }
    };
    let index = Index::new((0..6).map(entry).collect()).unwrap();
    let bytes = index.encode();
    (ObjectRef { id: ObjectId::of(&bytes), size: bytes.len() as u64 }, index)
}

/// A server that gives each connection one answer and closes it; the paths asked for come out of the channel.
fn server(answers: Vec<Vec<u8>>) -> (Server, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (paths, seen) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            paths.send(first.split(' ').nth(1).unwrap().to_owned()).unwrap();
            let _client_gone = stream.write_all(&answer);
        }
    });
    (Server::new(base, Duration::from_secs(30)), seen)
}

fn answer(announced: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn chunks(numbers: &[u8]) -> Vec<u8> {
    numbers.iter().flat_map(|n| vec![*n; STORED]).collect()
}

#[test]
fn a_broken_batch_goes_on_at_the_chunk_where_it_broke() {
    let broken = answer(4 * STORED, &chunks(&[0, 1, 4])[..2 * STORED + 7]);
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_vec();
    let rest = answer(2 * STORED, &chunks(&[4, 5]));
    let (mut server, paths) = server(vec![broken, busy, rest]);
    let (object, index) = index();
    let mut arrived = Vec::new();
    let mut sink = |number: usize, bytes: &[u8]| {
        assert_eq!(bytes, vec![u8::try_from(number).unwrap(); STORED]);
        arrived.push(number);
        Ok(())
    };
    server.fetch(&object, &index, &[0, 1, 4, 5], &mut sink).unwrap();
    assert_eq!(arrived, [0, 1, 4, 5]);
    let paths: Vec<String> = paths.iter().collect();
    let path = |ranges: &str| format!("/batch/{}/{ranges}", object.id);
    assert_eq!(paths, [path("0-1,4-5"), path("4-5"), path("4-5")]);
}

#[test]
fn an_answer_that_is_too_short_or_too_long_is_refused() {
    let (object, index) = index();
    let mut sink = |_: usize, _: &[u8]| Ok(());
    let (mut short, _paths) = server(vec![answer(STORED, &chunks(&[0]))]);
    let error = short.fetch(&object, &index, &[0, 1], &mut sink).unwrap_err();
    assert!(error.to_string().ends_with("1 of 2 chunks in the answer"), "{error}");
    let (mut long, _paths) = server(vec![answer(3 * STORED, &chunks(&[0, 1, 2]))]);
    let error = long.fetch(&object, &index, &[0, 1], &mut sink).unwrap_err();
    assert_eq!(error.to_string(), "answer is longer than the 2000 bytes allowed");
}

#[test]
fn a_receiver_that_refuses_ends_the_transfer() {
    let (object, index) = index();
    let (mut server, _paths) = server(vec![answer(2 * STORED, &chunks(&[0, 1]))]);
    let error = server.fetch(&object, &index, &[0, 1], &mut |_, _| Err(Stopped)).unwrap_err();
    assert!(error.is::<Stopped>(), "{error}");
}

#[test]
fn a_broken_object_is_taken_up_where_it_broke() {
    let body: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
    let object = ObjectRef { id: ObjectId::of(&body), size: body.len() as u64 };
    let (mut server, _paths) = server(vec![answer(body.len(), &body[..7001]), answer(body.len(), &body)]);
    let mut arrived = Vec::new();
    let mut sink = |bytes: &[u8]| {
        arrived.extend_from_slice(bytes);
        Ok(())
    };
    server.fetch_object(&object, &mut sink).unwrap();
    assert!(arrived == body);
}

fn table() -> (ObjectRef, SegmentTable) {
    let segment = |n: u8| Segment {
        object: ObjectId::of(&vec![n; STORED]),
        stored_len: STORED as u32,
        plain_len: 4096,
        base: Vec::new(),
        entries: vec![EntryRun { first: n.into(), count: 1 }],
    };
    let table = SegmentTable::new(None, ObjectId::of(b"index"), (0..6).map(segment).collect()).unwrap();
    let bytes = table.encode();
    (ObjectRef { id: ObjectId::of(&bytes), size: bytes.len() as u64 }, table)
}

#[test]
fn a_broken_batch_of_segments_goes_on_at_the_segment_where_it_broke() {
    let broken = answer(3 * STORED, &chunks(&[1, 2, 5])[..STORED + 7]);
    let rest = answer(2 * STORED, &chunks(&[2, 5]));
    let (mut server, paths) = server(vec![broken, rest]);
    let (object, table) = table();
    let mut arrived: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut begun = Vec::new();
    let mut sink = |number: usize, offset: u64, bytes: &[u8]| {
        if offset == 0 {
            begun.push(number);
            arrived.retain(|(other, _)| *other != number);
            arrived.push((number, Vec::new()));
        }
        let (last, got) = arrived.last_mut().unwrap();
        assert_eq!((*last, got.len() as u64), (number, offset));
        got.extend_from_slice(bytes);
        Ok(())
    };
    server.fetch_segments(&object, &table, &[1, 2, 5], &mut sink).unwrap();
    assert_eq!(arrived, [1, 2, 5].map(|n: u8| (n.into(), vec![n; STORED])));
    assert_eq!(begun, [1, 2, 2, 5], "the second one came in part, and came again");
    let paths: Vec<String> = paths.iter().collect();
    assert_eq!(paths, [format!("/batch/{}/1-2,5", object.id), format!("/batch/{}/2,5", object.id)]);
}

/// What a server answers, how often it is asked, and whether another way may be gone then.
#[test]
fn what_is_refused_is_told_from_what_may_pass() {
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let (object, index) = index();
    let cases: [(&str, Vec<u8>, usize); 4] = [
        ("not there", status("404 Not Found"), 1),
        ("not allowed", status("400 Bad Request"), 1),
        ("fails", status("500 Internal Server Error"), 3),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_vec(), 1),
    ];
    for (what, answer, times) in cases {
        let (mut server, paths) = server(vec![answer; 5]);
        let error = server.fetch(&object, &index, &[0, 1], &mut |_, _| Ok(())).unwrap_err();
        assert!(error.is::<Refused>(), "{what}: {error}");
        assert_eq!(paths.try_iter().count(), times, "{what}");
    }
    // Failures with something in between are not in a row.
    let failure = status("500 Internal Server Error");
    let one = |n: u8, of: usize| answer(of * STORED, &chunks(&[n]));
    let answers =
        [&failure, &failure, &one(0, 3), &failure, &failure, &one(1, 2), &one(2, 1)].map(Clone::clone);
    let (mut server, _paths) = server(answers.to_vec());
    let mut arrived = Vec::new();
    let mut sink = |number: usize, _: &[u8]| {
        arrived.push(number);
        Ok(())
    };
    server.fetch(&object, &index, &[0, 1, 2], &mut sink).unwrap();
    assert_eq!(arrived, [0, 1, 2]);
}

#[test]
fn a_server_that_says_when_to_come_again_is_waited_for() {
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (mut server, paths) = server(vec![busy, answer(STORED, &chunks(&[0]))]);
    let (object, index) = index();
    let begin = std::time::Instant::now();
    server.fetch(&object, &index, &[0], &mut |_, _| Ok(())).unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(paths.try_iter().count(), 2);
}
