//! A thousand connections that crawl or say nothing: others are answered as ever, and memory stays what it is.

use std::process::Command;
use std::time::{Duration, Instant};

use server::net::Limits;
use server::net::descriptors::make_room;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::program::{PROGRAM, Program};
use crate::support::client::{Response, connect, request};
use crate::support::publication::{object, pack};
use crate::support::soon;

const SILENT: usize = 250;
const HALF: usize = 250;
const CRAWLING: usize = 500;
/// What crawlers ask for: more than the kernel holds for them.
const LARGE: usize = 16 << 20;
/// What everybody else asks for.
const SMALL: usize = 30_000;
/// Bytes that the crowd may cost the server, in KiB: a large piece for some, a small one for the others, and their tasks.
const COST_MAX: u64 = 96 << 10;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

/// Resident memory of the program in KiB.
fn resident(program: &Program) -> u64 {
    let id = program.child.as_ref().unwrap().id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A connection that can hold little unread.
async fn narrow(program: &Program) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    soon("a connection", socket.connect(program.delivery)).await.unwrap()
}

/// One answer on a connection that stays open.
async fn answer(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    loop {
        let read = soon("more of an answer", stream.read_buf(&mut bytes)).await.unwrap();
        assert!(read > 0, "the connection ends after {} bytes", bytes.len());
        if let Some(response) = Response::parse(&bytes)
            && response.body.len().to_string() == response.header("content-length")
        {
            return response;
        }
    }
}

/// A hundred requests on ten connections at a time; the longest time of one.
async fn others(program: &Program, path: &str, expected: &[u8]) -> Duration {
    let mut longest = Duration::ZERO;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(connect(program.delivery).await);
    }
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for _ in 0..10 {
        for stream in &mut streams {
            let start = Instant::now();
            stream.write_all(get.as_bytes()).await.unwrap();
            let got = answer(stream).await;
            assert_eq!((got.status, got.body.as_slice()), (200, expected));
            longest = longest.max(start.elapsed());
        }
    }
    longest
}

#[tokio::test]
async fn a_thousand_that_crawl_or_say_nothing_harm_nobody() {
    make_room(&Limits::default(), 1);
    let dir = tempfile::tempdir().unwrap();
    let more = ["--max-per-address", "2000", "--scrub-mib-s", "0"];
    let program = Program::start(Command::new(PROGRAM), &dir.path().join("data"), &more).await;
    let (large, small) = (bytes(LARGE), bytes(SMALL));
    let stored = program.put(&pack([large.as_slice(), &small])).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let path = |bytes: &[u8]| format!("/objects/{}", object(bytes).id);

    others(&program, &path(&small), &small).await;
    let whole = request(program.delivery, "GET", &path(&large), "", b"").await;
    assert!(whole.body == large);
    let before = resident(&program);

    let mut crowd = Vec::new();
    let get = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(&large));
    for number in 0..SILENT + HALF + CRAWLING {
        let mut stream = narrow(&program).await;
        if number >= SILENT + HALF {
            stream.write_all(get.as_bytes()).await.unwrap();
        } else if number >= SILENT {
            stream.write_all(b"GET /obj").await.unwrap();
        }
        crowd.push(stream);
    }
    // Each crawler has got its head: its answer has begun.
    for stream in &mut crowd[SILENT + HALF..] {
        soon("the beginning of an answer", stream.readable()).await.unwrap();
        let mut some = [0; 64];
        stream.try_read(&mut some).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", String::from_utf8_lossy(&some));
    }

    let longest = others(&program, &path(&small), &small).await;
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert_eq!(request(program.delivery, "GET", "/readyz", "", b"").await.status, 200);
    let cost = resident(&program).saturating_sub(before);
    assert!(cost < COST_MAX, "{cost} KiB");
    println!("{} connections cost {cost} KiB; the longest other answer took {longest:?}", crowd.len());
    drop(crowd);
    assert!(program.stop().await.status.success());
}
