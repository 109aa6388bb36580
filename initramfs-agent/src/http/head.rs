//! The head of an answer: status line and the few header fields that matter here.

use std::time::Duration;

use super::HttpError;

/// Largest head read, in bytes (endless data before the body).
pub const HEAD_MAX: usize = 16 << 10;

/// Longest wait that a server may ask for; a longer one is cut to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection ends.
    Close,
}

/// A parsed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Status code, 100 to 599.
    pub status: u16,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
    /// `Retry-After` in seconds, cut to [`RETRY_AFTER_MAX`]; dates are not read.
    pub retry_after: Option<Duration>,
}

impl Head {
    /// Reads a head, without the empty line that ends it.
    ///
    /// # Errors
    /// [`HttpError::Malformed`]; contradicting or repeated lengths are refused, because two readers would disagree about
    /// where the next answer begins.
    pub fn parse(bytes: &[u8]) -> Result<Self, HttpError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HttpError::Malformed("head is not text"))?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let (version, rest) =
            status_line.split_once(' ').ok_or(HttpError::Malformed("no status line of HTTP/1"))?;
        let minor = match version {
            "HTTP/1.1" => 1,
            "HTTP/1.0" => 0,
            _ => return Err(HttpError::Malformed("no status line of HTTP/1")),
        };
        let digits = rest.get(..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let ends = matches!(rest.as_bytes().get(3), None | Some(b' '));
        let status = digits.filter(|_| ends).and_then(|digits| digits.parse().ok());
        let status = status
            .filter(|status| (100..600).contains(status))
            .ok_or(HttpError::Malformed("no status code"))?;

        let mut length = None;
        let mut chunked = false;
        let mut keep_alive = minor == 1;
        let mut retry_after = None;
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or(HttpError::Malformed("header field without colon"))?;
            let value = value.trim_matches([' ', '\t']);
            if name.eq_ignore_ascii_case("content-length") {
                let number = decimal(value).ok_or(HttpError::Malformed("Content-Length is not a number"))?;
                if length.replace(number).is_some() {
                    return Err(HttpError::Malformed("Content-Length twice"));
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if chunked || !value.eq_ignore_ascii_case("chunked") {
                    return Err(HttpError::Malformed("unknown Transfer-Encoding"));
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case("content-encoding") && !value.eq_ignore_ascii_case("identity")
            {
                return Err(HttpError::Malformed("Content-Encoding was not asked for"));
            } else if name.eq_ignore_ascii_case("connection") {
                keep_alive = match value {
                    _ if value.eq_ignore_ascii_case("close") => false,
                    _ if value.eq_ignore_ascii_case("keep-alive") => true,
                    _ => keep_alive,
                };
            } else if name.eq_ignore_ascii_case("retry-after") {
                retry_after = decimal(value).map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
            }
        }
        let framing = match (length, chunked) {
            (Some(_), true) => return Err(HttpError::Malformed("both Content-Length and Transfer-Encoding")),
            _ if matches!(status, 204 | 304) => Framing::Length(0),
            (Some(length), false) => Framing::Length(length),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::Close,
        };
        Ok(Self { status, framing, keep_alive: keep_alive && framing != Framing::Close, retry_after })
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn malformed(head: &str) -> &'static str {
        match Head::parse(head.as_bytes()) {
            Err(HttpError::Malformed(what)) => what,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn an_ordinary_head() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nETag: \"x\"").unwrap();
        assert_eq!(
            head,
            Head { status: 200, framing: Framing::Length(12), keep_alive: true, retry_after: None }
        );
        let head =
            Head::parse(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: Close\r\nContent-Length:0")
                .unwrap();
        assert_eq!(
            (head.status, head.keep_alive, head.retry_after),
            (503, false, Some(Duration::from_secs(7)))
        );
        assert_eq!(Head::parse(b"HTTP/1.0 200").unwrap().framing, Framing::Close);
        assert_eq!(Head::parse(b"HTTP/1.1 204 x").unwrap().framing, Framing::Length(0));
    }

    #[test]
    fn a_long_wait_is_cut() {
        let head = Head::parse(b"HTTP/1.1 503 x\r\nRetry-After: 99999999999").unwrap();
        assert_eq!(head.retry_after, Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        assert_eq!(
            malformed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1"),
            "Content-Length twice"
        );
        assert_eq!(malformed("HTTP/1.1 200 OK\r\nContent-Length: -1"), "Content-Length is not a number");
        assert_eq!(
            malformed("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616"),
            "Content-Length is not a number"
        );
        assert_eq!(
            malformed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"),
            "both Content-Length and Transfer-Encoding"
        );
        assert_eq!(malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip"), "unknown Transfer-Encoding");
        assert_eq!(
            malformed("HTTP/1.1 200 OK\r\nContent-Encoding: gzip"),
            "Content-Encoding was not asked for"
        );
        assert_eq!(malformed("HTTP/1.1 200 OK\r\nno colon"), "header field without colon");
        assert_eq!(malformed("HTTP/2 200"), "no status line of HTTP/1");
        assert_eq!(malformed("HTTP/1.1 2000"), "no status code");
        assert_eq!(malformed("HTTP/1.1 099 x"), "no status code");
        assert_eq!(malformed(""), "no status line of HTTP/1");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "HTTP/1.1 [0-9]{3}.{0,80}") {
            let _either = Head::parse(&bytes);
            let _either = Head::parse(text.as_bytes());
        }
    }
}
