//! Base URLs: `http://HOST[:PORT][/PREFIX]`.

use std::fmt;
use std::str::FromStr;

/// Longest base URL, in bytes.
pub const URL_MAX: usize = 256;

/// Where a listener is. Plain HTTP only: what it sends is checked by signatures and digests, not by the transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    host: String,
    port: u16,
    prefix: String,
}

/// A text that is not a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("base URL: expected http://HOST[:PORT][/PATH], found {found:?}")]
pub struct ParseUrlError {
    /// What was found, cut to 80 characters.
    pub found: String,
}

impl BaseUrl {
    /// Host name or IPv4 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query of a request: `path` begins with `/` and holds only bytes that need no escape.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Splits a full URL into the part to connect to and the path to ask for; a missing path is `/`.
    ///
    /// # Errors
    /// Not a plain `http://` URL, or bytes that need an escape.
    pub fn split(url: &str) -> Result<(Self, String), ParseUrlError> {
        let error = || ParseUrlError { found: url.chars().take(80).collect() };
        let rest = url.strip_prefix("http://").ok_or_else(error)?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) if rest.as_bytes()[at] == b'/' => (&rest[..at], rest[at..].to_owned()),
            Some(at) => (&rest[..at], format!("/{}", &rest[at..])),
            None => (rest, "/".to_owned()),
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(error());
        }
        Ok((format!("http://{authority}").parse()?, path))
    }
}

fn is_prefix(text: &str) -> bool {
    text.split('/').all(|part| part != "." && part != "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'~'))
}

impl FromStr for BaseUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUrlError> {
        let error = || ParseUrlError { found: text.chars().take(80).collect() };
        let rest = text.strip_prefix("http://").filter(|_| text.len() <= URL_MAX).ok_or_else(error)?;
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?)
            }
            Some(_) => return Err(error()),
            None => (authority, 80),
        };
        let valid_host = host.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        if !valid_host || !is_prefix(prefix) {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port, prefix: prefix.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            80 => write!(f, "http://{}{}", self.host, self.prefix),
            port => write!(f, "http://{}:{port}{}", self.host, self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_round_trip() {
        for url in ["http://10.0.2.2:7080", "http://boot.example", "http://h:1/a/b"] {
            assert_eq!(url.parse::<BaseUrl>().unwrap().to_string(), url);
        }
        let url: BaseUrl = "http://h:80/edge/".parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.target("/x").as_str()), ("http://h/edge", "/edge/x"));
    }

    #[test]
    fn hostile_urls_are_refused() {
        for bad in [
            "",
            "https://h",
            "http://",
            "http://h:0",
            "http://h:65536",
            "http://h:+1",
            "http://u@h",
            "http://h/../x",
            "http://h/a b",
            "http://h/a\r\nX: y",
            "http://h?x",
            "http://[::1]",
            "http://-h",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad:?}");
        }
        assert!(format!("http://{}", "a".repeat(URL_MAX)).parse::<BaseUrl>().is_err());
    }

    #[test]
    fn full_urls_are_split() {
        let (base, path) = BaseUrl::split("http://127.0.0.1:8404/stats?x=1").unwrap();
        assert_eq!((base.port(), path.as_str()), (8404, "/stats?x=1"));
        assert_eq!(BaseUrl::split("http://h").unwrap().1, "/");
        assert_eq!(BaseUrl::split("http://h?q").unwrap().1, "/?q");
        assert!(BaseUrl::split("http://h/a b").is_err());
        assert!(BaseUrl::split("http://h/a\r\nb").is_err());
    }
}
