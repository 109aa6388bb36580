//! Who asks for a boot script: the query of `/boot.ipxe`.
//!
//! The MAC address is the identity; the rest is shown to people. Everything in a query is forgeable: it selects a script, never
//! a right.

use std::collections::BTreeMap;

use image_format::NodeId;

/// Longest query, in bytes.
const QUERY_MAX: usize = 2048;
/// Longest value that is kept, in bytes.
const VALUE_MAX: usize = 128;
/// Parameters that are kept; others are ignored, so that newer bootstrap scripts may say more.
pub const KEPT: [&str; 10] =
    ["mac", "uuid", "serial", "asset", "manufacturer", "product", "arch", "platform", "hostname", "ip"];

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

/// Reads a query; `None` when it is absent or empty: the node has not been asked yet.
///
/// # Errors
/// [`IdentityError`].
pub fn parse(query: Option<&str>) -> Result<Option<Identity>, IdentityError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    if query.len() > QUERY_MAX {
        return Err(IdentityError::TooLong(query.len()));
    }
    let mut shown = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !KEPT.contains(&name) {
            continue;
        }
        let value = decode(value)?;
        if shown.insert(name.to_owned(), value).is_some() {
            return Err(IdentityError::Twice(name.to_owned()));
        }
    }
    let mac = shown.get("mac").cloned().unwrap_or_default();
    let node = node_of(&mac).ok_or(IdentityError::Mac(mac))?;
    shown.insert("mac".to_owned(), node.to_string());
    shown.retain(|_, value| !value.is_empty());
    Ok(Some(Identity { node, shown }))
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
            let identity = parse(Some(&query)).unwrap().unwrap();
            assert_eq!(identity.node, node);
            assert_eq!(identity.shown["mac"], node.as_str());
            assert_eq!(identity.shown["serial"], "To be filled?");
            assert_eq!(identity.shown.len(), 2);
        }
        assert_eq!(parse(None), Ok(None));
        assert_eq!(parse(Some("")), Ok(None));
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
            if let Ok(Some(identity)) = parse(Some(&query)) {
                for value in identity.shown.values() {
                    prop_assert!(value.len() <= VALUE_MAX);
                    prop_assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                }
            }
        }
    }
}
