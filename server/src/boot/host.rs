//! The URLs that go into scripts: from the settings, else from the Host header of the request.
//!
//! The Host header is the client's text and lands in a script that runs on its console: only `[A-Za-z0-9.:-]` and brackets
//! pass.

use std::fmt;

/// Longest Host header, in bytes.
const HOST_MAX: usize = 255;

/// Base URLs without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    /// Of the delivery listener.
    pub delivery: String,
    /// Of the admin listener.
    pub admin: String,
}

/// A base URL from the command line: `http://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    host: Host,
}

/// A checked `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

/// A text that is no host or base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not `HOST[:PORT]`.
    #[error("host: expected NAME[:PORT] of A-Z a-z 0-9 . - : [ ], found {0:?}")]
    Host(String),
    /// HTTP/1.0 without it.
    #[error("host: the request has no Host header, and the server no --public-url")]
    Missing,
    /// Not a base URL.
    #[error("base URL: expected http://HOST[:PORT], found {0:?}")]
    Url(String),
}

impl Host {
    fn parse(text: &str) -> Result<Self, HostError> {
        let error = || HostError::Host(text.chars().take(80).collect());
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if text.is_empty() || text.len() > HOST_MAX || !text.bytes().all(safe) {
            return Err(error());
        }
        let (name, port) = match text.rsplit_once(':') {
            // The colons within brackets belong to an IPv6 address.
            Some((name, port)) if !port.contains(']') => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = if digits { port.parse().ok() } else { None };
                (name, Some(port.ok_or_else(error)?))
            }
            _ => (text, None),
        };
        let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let valid = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !name.is_empty() && !name.contains(['[', ']', ':']),
        };
        if valid { Ok(Self { name: name.to_owned(), port }) } else { Err(error()) }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

impl std::str::FromStr for BaseUrl {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let host = text.strip_prefix("http://").and_then(|rest| Host::parse(rest.trim_end_matches('/')).ok());
        host.map(|host| Self { host }).ok_or_else(|| HostError::Url(text.chars().take(80).collect()))
    }
}

/// What the settings say about URLs.
#[derive(Debug, Clone)]
pub struct UrlSettings {
    /// `--public-url`.
    pub delivery: Option<BaseUrl>,
    /// `--public-admin-url`.
    pub admin: Option<BaseUrl>,
    /// Port of the admin listener, for hosts that the client named.
    pub admin_port: u16,
}

impl UrlSettings {
    /// The URLs for a client that sent this Host header.
    ///
    /// # Errors
    /// [`HostError`] when the header is needed and unusable.
    pub fn for_host(&self, header: Option<&str>) -> Result<Urls, HostError> {
        let host = match &self.delivery {
            Some(url) => url.host.clone(),
            None => Host::parse(header.ok_or(HostError::Missing)?)?,
        };
        let admin = match &self.admin {
            Some(url) => url.to_string(),
            None => format!("http://{}:{}", host.name, self.admin_port),
        };
        Ok(Urls { delivery: format!("http://{host}"), admin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: UrlSettings = UrlSettings { delivery: None, admin: None, admin_port: 7081 };

    #[test]
    fn the_admin_url_is_the_same_host() {
        for (host, admin) in [
            ("10.0.2.2:7080", "http://10.0.2.2:7081"),
            ("boot.example", "http://boot.example:7081"),
            ("[fd00::1]:7080", "http://[fd00::1]:7081"),
            ("[fd00::1]", "http://[fd00::1]:7081"),
        ] {
            let urls = NONE.for_host(Some(host)).unwrap();
            assert_eq!((urls.delivery, urls.admin), (format!("http://{host}"), admin.to_owned()));
        }
    }

    #[test]
    fn settings_win_over_the_header() {
        let settings = UrlSettings {
            delivery: Some("http://boot:80/".parse().unwrap()),
            admin: Some("http://admin:81".parse().unwrap()),
            ..NONE
        };
        let urls = settings.for_host(Some("evil\n")).unwrap();
        assert_eq!((urls.delivery.as_str(), urls.admin.as_str()), ("http://boot:80", "http://admin:81"));
        for bad in ["https://x", "x", "http://", "http://a/b", "http://a b"] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(HostError::Url(bad.into())));
        }
    }

    #[test]
    fn hostile_hosts_are_refused() {
        let long = "a".repeat(256);
        for bad in [
            "",
            "a b",
            "a\nb",
            "a/b",
            "${mac}",
            "a&&b",
            "a||b",
            "a:",
            "a:b",
            "a:99999",
            "a:+1",
            "::1",
            "[::1",
            "[x]",
            "[::1]x",
            "a]:1",
            ":80",
            "é",
            "a\\b",
            "user@host",
            &long,
        ] {
            assert!(matches!(NONE.for_host(Some(bad)), Err(HostError::Host(_))), "{bad:?}");
        }
        assert_eq!(NONE.for_host(None), Err(HostError::Missing));
    }
}
