//! Chunks over a network that breaks: every chunk arrives once, and only what is missing is asked for again.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use image_format::index::{Entry, Index};
use image_format::manifest::ObjectRef;
use image_format::{ChunkId, ObjectId};
use initramfs_agent::disk::install::{ChunkSource as _, Stopped};
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
