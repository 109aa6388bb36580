//! The HTTP client against servers that break every rule, on loopback.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use initramfs_agent::http::{Client, HttpError, Limits};
use proptest::prelude::*;

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
    assert!(matches!(error, HttpError::Truncated { expected: Some(10), found: 5 }), "{error}");
    assert!(error.is_transient());
    assert_eq!(error.to_string(), "answer ended after 5 bytes, expected 10");
    for body in ["5\r\nhel", "3\r\nhel\r\n"] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let error = once(format!("{head}{body}")).unwrap_err();
        assert!(matches!(error, HttpError::Truncated { expected: None, found: 3 }), "{error}");
    }
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let error = once(head).unwrap_err();
        assert!(matches!(error, HttpError::Truncated { expected: None, found: 0 }), "{error}");
        assert!(error.is_transient());
    }
}

#[test]
fn too_much_is_refused() {
    let much = "x".repeat(1001);
    let chunked = format!("3e9\r\n{much}\r\n0\r\n\r\n");
    for (head, body) in
        [("Content-Length: 1001\r\n", ""), ("", much.as_str()), ("Transfer-Encoding: chunked\r\n", &chunked)]
    {
        let error = once(format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}")).unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { max: 1000 }), "{head}: {error}");
    }
    let exact = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1000));
    assert_eq!(once(exact).unwrap().len(), 1000);
}

#[test]
fn no_byte_beyond_the_limit_reaches_the_receiver() {
    let (mut client, thread) = serve(vec![answer(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000)))]);
    let mut received = 0;
    let error = client.get_with("/x", &LIMITS, &mut |bytes| {
        received += bytes.len();
        ControlFlow::Continue(())
    });
    assert!(matches!(error.unwrap_err(), HttpError::TooLarge { max: 1000 }));
    assert!(received <= 1000, "{received}");
    thread.join().unwrap();
}

#[test]
fn hostile_chunk_sizes_are_refused() {
    let chunks = |body: &str| {
        once(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).unwrap_err()
    };
    // Nothing is set aside for what a size promises.
    let error = chunks("ffffffffffffffff\r\nx");
    assert!(matches!(error, HttpError::Truncated { expected: None, found: 1 }), "{error}");
    let long = "1".repeat(300 << 10);
    for body in ["10000000000000000\r\n", "-1\r\n", "x\r\n", "\r\n", "1\r\nabc\r\n", &long] {
        let error = chunks(body);
        assert!(matches!(error, HttpError::Malformed(_)), "{:.20}: {error}", body);
        assert!(!error.is_transient());
    }
}

#[test]
fn hostile_heads_are_refused() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (head, reason) in [
        ("no http at all", "invalid HTTP version"),
        ("HTTP/2 200\r\n\r\n", "invalid HTTP version"),
        ("HTTP/1.1 2000\r\n\r\n", "invalid response status"),
        ("HTTP/1.1 099 x\r\n\r\n", "invalid status code: 099"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "invalid header name"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "invalid header value"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", "content-length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "content-length"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            "both Content-Length and Transfer-Encoding",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", "unknown Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", "Content-Encoding was not asked for"),
        (&many, "too many headers"),
    ] {
        let error = once(head).unwrap_err();
        assert!(matches!(error, HttpError::Malformed(_)), "{head:.80}: {error}");
        assert!(error.to_string().contains(reason), "{head:.80}: {error}");
        assert!(!error.is_transient());
    }
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
        let _sent = stream.write_all(b"X: ");
        while stream.write_all(&[b'y'; 512]).is_ok() {}
    })]);
    let error = client.get("/x", &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "malformed answer: head is longer than the 16384 bytes allowed");
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_trickling_server_loses_against_the_deadline() {
    for (start, piece) in [
        ("HTTP/1.1 200 OK\r\nX: ", "y"),
        ("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "x"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"),
    ] {
        let (stop, stopped) = mpsc::channel::<()>();
        let (mut client, thread) = serve(vec![Box::new(move |mut stream: TcpStream| {
            request(&mut stream);
            let _sent = stream.write_all(start.as_bytes());
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _sent = stream.write_all(piece.as_bytes());
            }
        })]);
        let begin = Instant::now();
        let error = client.get("/x", &Limits { total: Duration::from_millis(100), ..LIMITS }).unwrap_err();
        assert!(
            matches!(error, HttpError::Deadline(total) if total == Duration::from_millis(100)),
            "{start}{piece}: {error}"
        );
        assert!(begin.elapsed() < Duration::from_secs(5));
        drop(stop);
        thread.join().unwrap();
    }
}

#[test]
fn a_silent_server_is_left() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (mut client, thread) = serve(vec![Box::new(move |stream| {
        let _hung_up = stopped.recv();
        drop(stream);
    })]);
    let error = client.get("/x", &Limits { silence: Duration::from_millis(30), ..LIMITS }).unwrap_err();
    assert!(timed_out(&error, "waiting for the answer"), "{error}");
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_server_that_falls_silent_within_a_body_is_left() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (mut client, thread) = serve(vec![Box::new(move |mut stream: TcpStream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx").unwrap();
        let _hung_up = stopped.recv();
    })]);
    let error = client.get("/x", &Limits { silence: Duration::from_millis(30), ..LIMITS }).unwrap_err();
    assert!(timed_out(&error, "reading the answer"), "{error}");
    drop(stop);
    thread.join().unwrap();
}

fn timed_out(error: &HttpError, expected: &str) -> bool {
    matches!(error, HttpError::Io { during, source }
        if *during == expected && source.kind() == ErrorKind::TimedOut)
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
            assert!(text.starts_with("GET /base/x HTTP/1.1\r\n"), "{text}");
            assert!(text.contains("\r\nhost: 127.0.0.1:"), "{text}");
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
    for field in ["content-type: application/json", "content-length: 7"] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{head}");
    }
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

#[test]
fn a_name_without_an_address_is_a_clear_error() {
    let error = Client::new("http://a..b".parse().unwrap()).get("/x", &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "cannot find an address for host a..b");
    assert!(error.is_transient());
}

#[test]
fn nothing_is_smuggled_into_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    for path in ["/x HTTP/1.1\r\nX: y", "/a b", "/\0", "/<"] {
        let error = client.get(path, &LIMITS).unwrap_err();
        assert!(matches!(&error, HttpError::Unaskable { path: found } if found == path), "{error}");
        assert!(!error.is_transient());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "HTTP/1.1 [0-9]{3}.{0,80}\r\n\r\n.{0,20}") {
        for answer in [bytes, text.into_bytes()] {
            let _either = once(answer);
        }
    }
}
