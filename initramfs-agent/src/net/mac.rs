//! A MAC address, which is also the identity of a node.

use std::fmt;
use std::str::FromStr;

use image_format::NodeId;

/// An Ethernet address, written `52-54-00-12-34-56`; colons are read too, as the kernel writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The node that boots from this address.
    pub fn node(self) -> NodeId {
        self.to_string().parse().expect("six pairs of hexadecimal digits with dashes are a name")
    }

    /// Twelve hexadecimal digits, for host names.
    pub fn compact(self) -> String {
        self.to_string().replace('-', "")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}-{b:02x}-{c:02x}-{d:02x}-{e:02x}-{g:02x}"))
    }
}

/// A text that is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MAC address: expected six pairs of hexadecimal digits with '-' or ':', found {found:?}")]
pub struct ParseMacError {
    /// What was found, cut to 40 characters.
    pub found: String,
}

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let error = || ParseMacError { found: text.chars().take(40).collect() };
        let separator = if text.contains(':') { ':' } else { '-' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(error)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        match parts.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_are_read_and_one_is_written() {
        let mac: Mac = "52:54:00:AB:cd:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "52-54-00-ab-cd-0f");
        assert_eq!("52-54-00-ab-cd-0f".parse(), Ok(mac));
        assert_eq!(mac.node().as_str(), "52-54-00-ab-cd-0f");
        assert_eq!(mac.compact(), "525400abcd0f");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "52-54-00-12-34",
            "52-54-00-12-34-56-78",
            "52-54-00-12-34-5",
            "+2-54-00-12-34-56",
            "52:54-00:12-34-56",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
