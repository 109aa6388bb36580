//! Who asks for a boot script, and with which join token: the query of `/boot.ipxe`.
//!
//! The MAC address is the identity; the rest is shown to people. Everything in a query is forgeable: it selects a script, never
//! a right.

use std::collections::BTreeMap;

use fleet_protocol::join::JoinToken;
use image_format::NodeId;

/// Longest query, in bytes.
const QUERY_MAX: usize = 2048;
/// The parameter with a join token. It is a secret: it is never kept, shown or logged.
const JOIN: &str = "join";
/// Longest value that is kept, in bytes.
const VALUE_MAX: usize = 128;
/// Parameters that are kept; others are ignored, so that newer bootstrap scripts may say more.
pub const KEPT: [&str; 10] =
    ["mac", "uuid", "serial", "asset", "manufacturer", "product", "arch", "platform", "hostname", "ip"];

/// What a query says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Who asks; none for a node that has not been asked yet.
    pub identity: Option<Identity>,
    /// The join token, if it is spelled as one. One that is not must not keep a node from booting.
    pub join: Option<JoinToken>,
}

/// A node that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id, from the MAC address.
    pub node: NodeId,
    /// What it said about itself, by [`KEPT`] name.
    pub shown: BTreeMap<String, String>,
}

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Beyond [`QUERY_MAX`].
    #[error("query: expected at most {QUERY_MAX} bytes, found {0}")]
    TooLong(usize),
    /// A `%` without two hex digits, or bytes that are not text.
    #[error("query: {0:?} is not well encoded")]
    Encoding(String),
    /// The same parameter twice: which one would count?
    #[error("query: {0} is given twice")]
    Twice(String),
    /// No usable MAC address.
    #[error("query: expected mac=52-54-00-12-34-56, found {0:?}")]
    Mac(String),
}

/// Reads a query. It names nobody when it is absent, empty or only a join token.
///
/// # Errors
/// [`IdentityError`].
pub fn parse(query: Option<&str>) -> Result<Asked, IdentityError> {
    let query = query.unwrap_or_default();
    if query.len() > QUERY_MAX {
        return Err(IdentityError::TooLong(query.len()));
    }
    let mut shown = BTreeMap::new();
    let (mut join, mut names) = (None, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == JOIN {
            if join.replace(value.parse().ok()).is_some() {
                return Err(IdentityError::Twice(name.to_owned()));
            }
            continue;
        }
        names = true;
        if !KEPT.contains(&name) {
            continue;
        }
        let value = decode(value)?;
        if shown.insert(name.to_owned(), value).is_some() {
            return Err(IdentityError::Twice(name.to_owned()));
        }
    }
    let join = join.flatten();
    if !names {
        return Ok(Asked { identity: None, join });
    }
    let mac = shown.get("mac").cloned().unwrap_or_default();
    let node = node_of(&mac).ok_or(IdentityError::Mac(mac))?;
    shown.insert("mac".to_owned(), node.to_string());
    shown.retain(|_, value| !value.is_empty());
    Ok(Asked { identity: Some(Identity { node, shown }), join })
}

/// The node id of a MAC address in any of its usual spellings.
fn node_of(mac: &str) -> Option<NodeId> {
    let mac = mac.to_ascii_lowercase().replace(':', "-");
    let parts: Vec<&str> = mac.split('-').collect();
    let well_formed = parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    // Nobody has the address zero; the lowest bit of the first byte marks groups.
    let individual = u8::from_str_radix(parts[0], 16).is_ok_and(|first| first & 1 == 0);
    let zero = parts.iter().all(|part| *part == "00");
    if well_formed && individual && !zero { mac.parse().ok() } else { None }
}

/// Undoes percent-encoding; keeps printable ASCII, cut to [`VALUE_MAX`], and puts `?` for everything else: the value goes to
/// logs, to JSON and to people's terminals.
fn decode(text: &str) -> Result<String, IdentityError> {
    let error = || IdentityError::Encoding(text.chars().take(40).collect());
    let mut bytes = text.bytes();
    let mut value = String::new();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(error)?, digit().ok_or_else(error)?);
                u8::try_from(high << 4 | low).map_err(|_| error())?
            }
            b'+' => b' ',
            other => other,
        };
        let shown = if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' };
        if value.len() < VALUE_MAX {
            value.push(shown);
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_an_address_are_one_node() {
        let node: NodeId = "52-54-00-ab-cd-ef".parse().unwrap();
        for mac in
            ["52-54-00-ab-cd-ef", "52:54:00:AB:CD:EF", "52%3A54%3a00%3aab%3acd%3aef", "52-54-00-AB-cd-ef"]
        {
            let query = format!("mac={mac}&serial=To+be%20filled%0a&uuid=&other=1&");
            let identity = parse(Some(&query)).unwrap().identity.unwrap();
            assert_eq!(identity.node, node);
            assert_eq!(identity.shown["mac"], node.as_str());
            assert_eq!(identity.shown["serial"], "To be filled?");
            assert_eq!(identity.shown.len(), 2);
        }
        assert_eq!(parse(None), Ok(Asked::default()));
        assert_eq!(parse(Some("")), Ok(Asked::default()));
    }

    #[test]
    fn a_join_token_is_read_and_never_shown() {
        let token = format!("bascule-join-1.010203040506.{}.{}.rack", "ab".repeat(16), "0".repeat(64));
        let alone = parse(Some(&format!("join={token}"))).unwrap();
        assert_eq!(
            (alone.identity, alone.join.as_ref().map(JoinToken::to_text)),
            (None, Some(token.clone()))
        );
        let both = parse(Some(&format!("mac=52-54-00-ab-cd-ef&join={token}"))).unwrap();
        assert_eq!(both.join, alone.join);
        assert!(!format!("{both:?}").contains("abab"));
        assert_eq!(both.identity.unwrap().shown.len(), 1);
        let cut = parse(Some("mac=52-54-00-ab-cd-ef&join=bascule-join-1.0102")).unwrap();
        assert_eq!((cut.identity.is_some(), cut.join), (true, None), "the node boots without it");
        assert_eq!(parse(Some("join=a&join=b")), Err(IdentityError::Twice("join".into())));
    }

    #[test]
    fn junk_is_refused_by_name() {
        let mac = |text: &str| matches!(parse(Some(&format!("mac={text}"))), Err(IdentityError::Mac(_)));
        for bad in [
            "",
            "52-54-00-ab-cd",
            "52-54-00-ab-cd-ef-00",
            "52-54-00-ab-cd-eg",
            "5-254-00-ab-cd-ef",
            "../../etc",
            "00-00-00-00-00-00",
            "ff-ff-ff-ff-ff-ff",
            "01-00-5e-00-00-01",
            "%24%7bmac%7d",
            "525400abcdef",
            "%00",
            "52-54-00-ab-cd-ef%0aecho",
            "é",
        ] {
            assert!(mac(bad), "{bad}");
        }
        assert!(matches!(parse(Some("uuid=1")), Err(IdentityError::Mac(_))));
        let twice = "mac=52-54-00-ab-cd-ef&mac=52-54-00-ab-cd-ee";
        assert_eq!(parse(Some(twice)), Err(IdentityError::Twice("mac".into())));
        for bad in ["mac=%", "mac=%4", "mac=%zz"] {
            assert!(matches!(parse(Some(bad)), Err(IdentityError::Encoding(_))), "{bad}");
        }
        assert_eq!(parse(Some(&"a".repeat(3000))), Err(IdentityError::TooLong(3000)));
    }

    proptest! {
        #[test]
        fn any_query_is_refused_or_harmless(query in "(mac=52-54-00-ab-cd-ef&)?.{0,60}(serial=.{0,200})?") {
            if let Ok(Asked { identity: Some(identity), .. }) = parse(Some(&query)) {
                for value in identity.shown.values() {
                    prop_assert!(value.len() <= VALUE_MAX);
                    prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                }
            }
        }
    }
}
