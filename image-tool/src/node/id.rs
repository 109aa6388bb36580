//! Node ids as people write them.

use image_format::NodeId;
use image_format::name::NameError;

/// Reads a node id. A MAC address may also be written with colons and in capitals, as firmware shows it.
pub(crate) fn node_id(text: &str) -> Result<NodeId, NameError> {
    if is_mac(text) { text.replace(':', "-").to_ascii_lowercase().parse() } else { text.parse() }
}

fn is_mac(text: &str) -> bool {
    let separator = if text.contains(':') { ':' } else { '-' };
    let octets: Vec<&str> = text.split(separator).collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    octets.len() == 6 && octets.iter().all(is_octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_have_one_form() {
        for text in ["52:54:00:AB:cd:56", "52-54-00-ab-cd-56", "52-54-00-AB-CD-56"] {
            assert_eq!(node_id(text).unwrap().as_str(), "52-54-00-ab-cd-56");
        }
        assert_eq!(node_id("node1").unwrap().as_str(), "node1");
        for bad in ["52:54:00:AB:cd", "52:54:00:AB:cd:5g", "Node1", "a:b", "52:54-00:ab:cd:56", ".."] {
            assert!(node_id(bad).is_err(), "{bad}");
        }
    }
}
