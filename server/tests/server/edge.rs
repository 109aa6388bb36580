//! Time-outs, caps, and the end of a server.

use std::time::{Duration, Instant};

use server::net::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{Response, connect, read_all, read_one};
use crate::support::publication::{object, pack};
use crate::support::{Running, soon, start_with};

const SHORT: Duration = Duration::from_millis(300);

/// Larger than what the sockets of both sides can hold.
const LARGE: usize = 48 << 20;

async fn with_large_object(limits: Limits) -> (Running, String) {
    let running = start_with(limits).await;
    let bytes = vec![7; LARGE];
    let stored = running.call("PUT", "/v1/objects", &pack([bytes.as_slice()])).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    (running, format!("GET /objects/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", object(&bytes).id))
}

#[tokio::test]
async fn heads_that_do_not_arrive_are_cut() {
    let running = start_with(Limits { head: SHORT, ..Limits::default() }).await;
    for address in [running.server.delivery, running.server.admin] {
        let start = Instant::now();
        let mut silent = connect(address).await;
        let mut half = connect(address).await;
        half.write_all(b"GET /healthz HTT").await.unwrap();
        // One byte at a time does not buy more time.
        let mut trickle = connect(address).await;
        let (mut reading, mut writing) = trickle.split();
        let trickled = async {
            for byte in b"GET /healthz HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'a')) {
                if writing.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let cut = async {
            let mut answer = Vec::new();
            let _ = reading.read_to_end(&mut answer).await;
            answer
        };
        let trickled = soon("the cut", async {
            tokio::select! { answer = cut => answer, () = trickled => Vec::new() }
        });
        let (silent, half, trickled) = tokio::join!(read_all(&mut silent), read_all(&mut half), trickled);
        assert_eq!((silent.len(), half.len(), trickled.len()), (0, 0, 0));
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_slow_head() {
    let limits =
        Limits { head: Duration::from_millis(100), idle: Duration::from_millis(600), ..Limits::default() };
    let running = start_with(limits).await;
    let mut stream = connect(running.server.delivery).await;
    for _ in 0..2 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(read_one(&mut stream).await.status, 200);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(read_all(&mut stream).await, b"");
}

#[tokio::test]
async fn a_head_that_begins_behind_a_request_and_does_not_end_is_cut() {
    let limits = Limits { idle: SHORT, head: SHORT, ..Limits::default() };
    let running = start_with(limits).await;
    let mut stream = connect(running.server.delivery).await;
    // Both arrive at once: nothing comes in any more when the answer is written.
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /obj").await.unwrap();
    let start = Instant::now();
    assert_eq!(read_one(&mut stream).await.status, 200);
    assert_eq!(read_all(&mut stream).await, b"");
    assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn above_the_caps_there_is_503_with_retry_after() {
    for limits in
        [Limits { connections: 2, ..Limits::default() }, Limits { per_address: 2, ..Limits::default() }]
    {
        let running = start_with(limits).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(running.server.delivery).await;
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            assert_eq!(read_one(&mut stream).await.status, 200);
            held.push(stream);
        }
        let refused = running.get("/healthz").await;
        assert_eq!(refused.status, 503);
        assert!((2..=10).contains(&refused.header("retry-after").parse().unwrap()));
        // The admin listener has places of its own.
        assert_eq!(running.call("GET", "/healthz", b"").await.status, 200);
        held.pop();
        // The end of a connection frees its place a moment after the client has seen it.
        let again = async {
            loop {
                let got = running.get("/metrics").await;
                if got.status == 200 {
                    return got.text();
                }
            }
        };
        let metrics = soon("a free place", again).await;
        assert!(
            metrics.contains("bascule_http_connections_rejected_total{listener=\"delivery\"}"),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_thousand_silent_and_half_open_connections_do_not_slow_a_good_client() {
    // One address has them all here, and one more.
    let running = start_with(Limits { per_address: 2000, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut stream = connect(running.server.delivery).await;
        if number % 2 == 0 {
            stream.write_all(b"GET /obj").await.unwrap();
        }
        idle.push(stream);
    }
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(running.get("/healthz").await.status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut() {
    let (running, get) = with_large_object(Limits { write_stall: SHORT, ..Limits::default() }).await;
    let mut stream = connect(running.server.delivery).await;
    stream.write_all(get.as_bytes()).await.unwrap();
    // One byte now and then.
    let mut taken = 0;
    let start = Instant::now();
    while start.elapsed() < SHORT * 4 {
        taken += stream.read(&mut [0; 1]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What the kernel has already is still to be had; then it is over.
    let rest = read_all(&mut stream).await;
    assert!(taken + rest.len() < LARGE, "{} bytes", taken + rest.len());
}

#[tokio::test]
async fn a_running_download_ends_well_in_a_shutdown() {
    let (running, get) = with_large_object(Limits::default()).await;
    let (delivery, data) = (running.server.delivery, running.data());
    let mut idle = connect(delivery).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(read_one(&mut idle).await.status, 200);
    let mut stream = connect(delivery).await;
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut begun = vec![0; 1 << 20];
    stream.read_exact(&mut begun).await.unwrap();

    let Running { server, dir, .. } = running;
    let stopping = tokio::spawn(server.stop());
    // The idle connection ends at once: the server is stopping.
    assert_eq!(read_all(&mut idle).await, b"");
    assert!(!stopping.is_finished());
    begun.extend(read_all(&mut stream).await);
    let answer = Response::parse(&begun).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, LARGE));
    soon("the stop", stopping).await.unwrap();
    tokio::net::TcpStream::connect(delivery).await.unwrap_err();
    assert!(!data.join("listen.json").exists());
    drop(dir);
}

#[tokio::test]
async fn a_download_that_does_not_end_is_cut_when_the_drain_time_is_over() {
    let (running, get) = with_large_object(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut stream = connect(running.server.delivery).await;
    stream.write_all(get.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    let Running { server, dir, .. } = running;
    soon("the stop", server.stop()).await;
    assert!(read_all(&mut stream).await.len() < LARGE);
    drop(dir);
}
