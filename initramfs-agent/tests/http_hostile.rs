//! The HTTP client against servers that break every rule, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use initramfs_agent::http::{Client, HttpError, Limits};

const LIMITS: Limits = Limits {
    body: 1000,
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(5),
    total: Duration::from_secs(10),
};

/// A server whose n-th connection is handled by the n-th function.
fn serve(handlers: Vec<Box<dyn FnOnce(TcpStream) + Send>>) -> (Client, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let thread = std::thread::spawn(move || {
        for handler in handlers {
            handler(listener.accept().unwrap().0);
        }
    });
    (Client::new(base), thread)
}

fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Answers one request with these bytes, then closes.
fn answer(bytes: impl Into<Vec<u8>>) -> Box<dyn FnOnce(TcpStream) + Send> {
    let bytes = bytes.into();
    Box::new(move |mut stream| {
        request(&mut stream);
        let _client_gone = stream.write_all(&bytes);
    })
}

fn once(bytes: impl Into<Vec<u8>>) -> Result<Vec<u8>, HttpError> {
    let (mut client, thread) = serve(vec![answer(bytes)]);
    let result = client.get("/x", &LIMITS);
    thread.join().unwrap();
    result
}

#[test]
fn every_framing_is_read() {
    assert_eq!(once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap(), b"hello");
    assert_eq!(once("HTTP/1.1 200 OK\r\n\r\nhello").unwrap(), b"hello");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n";
    assert_eq!(once(chunked).unwrap(), b"hello");
    assert_eq!(
        once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap(),
        b"x"
    );
}

#[test]
fn a_short_body_is_truncated() {
    let error = once("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").unwrap_err();
    assert!(matches!(error, HttpError::Truncated { expected: 10, found: 5 }), "{error}");
    assert!(error.is_transient());
    let error = once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").unwrap_err();
    assert!(matches!(error, HttpError::Truncated { expected: 5, found: 3 }), "{error}");
    let error = once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n").unwrap_err();
    assert!(matches!(error, HttpError::Malformed(_)), "{error}");
    let error = once("").unwrap_err();
    assert!(matches!(error, HttpError::Truncated { .. }), "{error}");
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    for head in ["Content-Length: 1001\r\n", "", "Transfer-Encoding: chunked\r\n"] {
        let body = if head.starts_with('T') { "3e9\r\n".to_owned() } else { "x".repeat(1001) };
        let error = once(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}")).unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { max: 1000 }), "{head}: {error}");
    }
    let overflow = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    assert!(matches!(once(overflow).unwrap_err(), HttpError::TooLarge { .. }));
}

#[test]
fn an_endless_body_ends_at_the_limit() {
    let (mut client, thread) = serve(vec![Box::new(|mut stream: TcpStream| {
        request(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[0; 512]).is_ok() {}
    })]);
    assert!(matches!(client.get("/x", &LIMITS).unwrap_err(), HttpError::TooLarge { max: 1000 }));
    drop(client);
    thread.join().unwrap();
}

#[test]
fn an_endless_head_ends_at_the_limit() {
    let (mut client, thread) = serve(vec![Box::new(|mut stream: TcpStream| {
        request(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: y\r\n").is_ok() {}
    })]);
    assert!(matches!(client.get("/x", &LIMITS).unwrap_err(), HttpError::Malformed("head is too long")));
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_trickling_server_loses_against_the_deadline() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (mut client, thread) = serve(vec![Box::new(move |mut stream: TcpStream| {
        request(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stopped.recv_timeout(Duration::from_millis(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _sent = stream.write_all(b"x");
        }
    })]);
    let start = Instant::now();
    let error = client.get("/x", &Limits { total: Duration::from_millis(100), ..LIMITS }).unwrap_err();
    assert!(matches!(error, HttpError::Deadline(total) if total == Duration::from_millis(100)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_silent_server_is_left() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (mut client, thread) = serve(vec![Box::new(move |stream| {
        let _hung_up = stopped.recv();
        drop(stream);
    })]);
    let error = client.get("/x", &Limits { silence: Duration::from_millis(30), ..LIMITS }).unwrap_err();
    assert!(matches!(error, HttpError::Io { during: "waiting for the answer", .. }), "{error}");
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_busy_server_says_when_to_come_back() {
    let error =
        once("HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 9\r\n\r\ntoo\x1b many").unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert!(error.is_transient() && !error.is_not_found());
    assert_eq!(error.to_string(), "server answered 503: too many");
}

#[test]
fn redirects_are_not_followed() {
    let error = once("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        .unwrap_err();
    assert_eq!(error.to_string(), "server answered 302");
    assert!(!error.is_transient());
}

#[test]
fn a_connection_is_kept_and_replaced_when_the_server_closed_it() {
    let two_on_one = |mut stream: TcpStream| {
        for body in ["a", "b"] {
            let text = request(&mut stream);
            assert!(text.starts_with("GET /base/x HTTP/1.1\r\nHost: 127.0.0.1:"), "{text}");
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{body}").unwrap();
        }
    };
    let handlers: Vec<Box<dyn FnOnce(TcpStream) + Send>> =
        vec![Box::new(two_on_one), answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc")];
    let (client, thread) = serve(handlers);
    let mut client = Client::new(format!("{}/base/", client.base()).parse().unwrap());
    for body in ["a", "b", "c"] {
        assert_eq!(client.get("/x", &LIMITS).unwrap(), body.as_bytes());
    }
    thread.join().unwrap();
}

#[test]
fn bytes_behind_an_answer_never_become_the_next_answer() {
    let smuggled =
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX";
    let (mut client, thread) =
        serve(vec![answer(smuggled), answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")]);
    assert_eq!(client.get("/1", &LIMITS).unwrap(), b"a");
    assert_eq!(client.get("/2", &LIMITS).unwrap(), b"b");
    thread.join().unwrap();
}

#[test]
fn json_is_posted_with_its_length() {
    let (texts, seen) = mpsc::channel();
    let (mut client, thread) = serve(vec![Box::new(move |mut stream: TcpStream| {
        let head = request(&mut stream);
        let mut body = [0; 7];
        stream.read_exact(&mut body).unwrap();
        texts.send((head, body)).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    })]);
    let answer =
        client.post_json("/v1/nodes/n/report", b"{\"a\":1}", &Limits::brief(Duration::from_secs(5))).unwrap();
    assert_eq!(answer.status, 204);
    let (head, body) = seen.recv().unwrap();
    assert!(head.contains("\r\nContent-Type: application/json\r\nContent-Length: 7\r\n"), "{head}");
    assert_eq!(&body, b"{\"a\":1}");
    thread.join().unwrap();
}

#[test]
fn nobody_there_is_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::new(format!("http://{address}").parse().unwrap()).get("/x", &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}"));
    assert!(error.is_transient());
}
