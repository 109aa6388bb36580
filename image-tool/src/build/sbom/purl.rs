//! Package URLs of Debian packages (ECMA-427, type `deb`).

/// `pkg:deb/debian/NAME@VERSION?arch=ARCH&distro=SUITE`.
pub(super) fn deb(name: &str, version: &str, arch: &str, suite: &str) -> String {
    format!(
        "pkg:deb/debian/{}@{}?arch={}&distro={}",
        encode(name),
        encode(version),
        encode(arch),
        encode(suite)
    )
}

/// Percent-encodes everything but unreserved characters and the colon.
fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_encoded() {
        assert_eq!(
            deb("libstdc++6", "1:12.2.0-14+deb12u1~x", "amd64", "bookworm"),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1~x?arch=amd64&distro=bookworm"
        );
    }
}
