//! The smallest HTTP client that the tests need: one request, one connection, whole answer in memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines without the status line.
    pub head: String,
    /// The body, as sent.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("answer is not JSON: {}", self.text()))
    }

    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A request; `target` goes into the request line unchanged, hostile bytes and all.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Bearer token.
    pub token: Option<&'a str>,
    /// Body; sent with its length and as JSON when not empty.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A `GET` without a token.
    pub fn get(target: &'a str) -> Self {
        Self { method: "GET", target, token: None, body: b"" }
    }

    /// Sends it to `server` and reads the answer to its end.
    pub fn send(&self, server: SocketAddr) -> Result<Answer> {
        let what = || format!("{} http://{server}{}", self.method, self.target.escape_debug());
        let mut stream = TcpStream::connect_timeout(&server, LIMIT).with_context(what)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n", self.method, self.target);
        if let Some(token) = self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        if !self.body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", self.body.len());
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).with_context(what)?;
        // A server may refuse a body early and close: its answer matters, not this error.
        let _ = stream.write_all(self.body);
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes)
            && bytes.is_empty()
        {
            return Err(error).with_context(what);
        }
        parse(&bytes).with_context(what)
    }
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        bail!("connection closed after {} bytes, before the end of the header", bytes.len());
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status code")?;
    let answer = Answer { status, head: rest.to_owned(), body: bytes[end + 4..].to_vec() };
    if let Some(length) = answer.header("content-length").and_then(|value| value.parse::<usize>().ok()) {
        ensure!(
            answer.body.len() == length || answer.body.is_empty(),
            "truncated: {} of {length} bytes",
            answer.body.len()
        );
    }
    Ok(answer)
}

/// `GET` that must answer 200 with JSON.
pub fn get_json(server: SocketAddr, target: &str, token: Option<&str>) -> Result<Value> {
    let answer = Request { token, ..Request::get(target) }.send(server)?;
    ensure!(
        answer.status == 200,
        "GET {target}: expected status 200, found {}: {}",
        answer.status,
        answer.text()
    );
    answer.json()
}
