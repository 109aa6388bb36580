//! Base URLs: `http://HOST[:PORT][/PREFIX]`.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

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

    /// Splits a full URL into the part to connect to and the path to ask for; a missing path is `/`.
    ///
    /// # Errors
    /// Not a plain `http://` URL, or bytes that need an escape.
    pub fn split(url: &str) -> Result<(Self, String), ParseUrlError> {
        let (base, uri) = parse(url).ok_or_else(|| not_a_url(url))?;
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok((base, format!("{}{query}", uri.path())))
    }
}

fn not_a_url(text: &str) -> ParseUrlError {
    ParseUrlError { found: text.chars().take(80).collect() }
}

/// The authority, and the URL as a whole. Neither user information nor a fragment nor IPv6 is taken.
fn parse(text: &str) -> Option<(BaseUrl, Uri)> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let uri: Uri = text.parse().ok().filter(|_| plain && text.starts_with("http://"))?;
    let authority = uri.authority()?;
    let host = authority.host().to_owned();
    let port = authority.port_u16();
    let whole = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")) == authority.as_str();
    let valid_host = host.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let valid = whole && valid_host && port != Some(0);
    valid.then(|| (BaseUrl { host, port: port.unwrap_or(80), prefix: String::new() }, uri))
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
        let parsed = if text.len() <= URL_MAX { parse(text) } else { None };
        let (base, uri) = parsed.ok_or_else(|| not_a_url(text))?;
        if uri.query().is_some() || !is_prefix(uri.path()) {
            return Err(not_a_url(text));
        }
        Ok(Self { prefix: uri.path().trim_end_matches('/').to_owned(), ..base })
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
        assert_eq!(url.to_string(), "http://h/edge");
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
            "http://h/?",
            "http://h#x",
            "http://h/a#x",
            "http://h:",
            "http://h/\u{e9}",
            "HTTP://h",
            "h:80",
            "/x",
            "*",
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
        for bad in
            ["http://h/a b", "http://h/a\r\nb", "http://h/a#b", "http://h?#b", "http://u@h/", "https://h/"]
        {
            assert!(BaseUrl::split(bad).is_err(), "{bad:?}");
        }
    }
}
