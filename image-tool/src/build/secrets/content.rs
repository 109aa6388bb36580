//! Secrets that can be told by their content, wherever they lie.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::line;

/// What a pattern stands for, and the pattern. Bytes, not characters; `.` is any byte. Tokens are told by the prefixes that
/// their makers chose so that they can be found.
const PATTERNS: &[(&str, &str)] = &[
    // RFC 7468 and OpenSSH, OpenPGP armour: the header alone in its line, or followed by base64, also within JSON or YAML.
    (KEY, r"(?m)^[ \t]*-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[ \t\r]*$"),
    (
        KEY,
        r#"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[\s"',]|\\[nr]|[A-Za-z-]{1,32}: [^\n]{0,200}\n){1,40}[A-Za-z0-9+/]{40}"#,
    ),
    // PKCS #8, PKCS #1 and SEC 1 in DER: SEQUENCE, version 0 or 1, then AlgorithmIdentifier, a large INTEGER, or OCTET STRING.
    (
        KEY,
        r"\A\x30(?:\x82..|\x81.|[\x20-\x7f])\x02\x01[\x00\x01](?:\x30[\x05-\x40]|\x02\x82|\x04[\x14-\x42])",
    ),
    // The same encrypted: an algorithm of PKCS #5 or PKCS #12 in its place.
    (
        "encrypted private key",
        r"\A\x30(?:\x82..|\x81.|[\x20-\x7f])\x30.\x06[\x09\x0a]\x2a\x86\x48\x86\xf7\x0d\x01(?:\x05[\x01-\x0e]|\x0c\x01[\x01-\x06])",
    ),
    ("PKCS #12 key store", r"\A\x30(?:\x82..|\x83...|\x80)\x02\x01\x03\x30"),
    ("Java key store with a private key", r"\A(?:\xfe\xed\xfe\xed|\xce\xce\xce\xce).{8}\x00\x00\x00\x01"),
    ("PuTTY private key", r"\APuTTY-User-Key-File-[0-9]"),
    ("SSH-1 private key", r"\ASSH PRIVATE KEY FILE FORMAT 1\.1\n"),
    ("age identity", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{50}|AGE-PLUGIN-[A-Z0-9-]{1,40}1[02-9AC-HJ-NP-Z]{20}"),
    ("signify or minisign secret key", r"\Auntrusted comment: [^\n]{0,200}secret key"),
    (
        "GnuPG private key",
        r"\A(?:[A-Z][a-z-]{1,20}: [^\n]{0,200}\n){0,10}(?:Key: )?\((?:[0-9]{1,2}:)?(?:protected-|shadowed-)?private-key",
    ),
    // RFC 9580 5.5.3: a secret key packet of version 4, old packet format, algorithms in use.
    ("OpenPGP secret key", r"\A(?:\x94.|\x95..)\x04....[\x01-\x03\x10-\x13\x16\x19\x1b]"),
    ("DNSSEC private key", r"\APrivate-key-format: v1"),
    ("Kerberos keytab", r"\A\x05\x02\x00\x00\x00."),
    ("Kerberos credential cache", r"\A\x05\x04\x00"),
    ("WireGuard key", r"(?m)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*[A-Za-z0-9+/]{43}="),
    ("Ceph key", r"(?m)^\s*key\s*=\s*AQ[A-Za-z0-9+/]{36}=="),
    ("TSIG key", r#"key\s+"?[A-Za-z0-9._-]{1,64}"?\s*\{[^}]{0,200}secret\s+"[A-Za-z0-9+/=]{16,}""#),
    ("password hash", HASH),
    ("Bascule join token", r"\bbascule-join-1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{16,}\."),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})"),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20}"),
    ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("AWS secret key", r#"(?i:aws_secret_access_key)["']?\s*[=:]\s*["']?[A-Za-z0-9/+]{40}\b"#),
    ("Google token", r"\b(?:AIza[0-9A-Za-z_-]{35}\b|ya29\.[0-9A-Za-z_-]{40}|GOCSPX-[0-9A-Za-z_-]{28}\b)"),
    ("Azure storage key", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("Slack token", r"\bxox[abeoprs]-[0-9A-Za-z]{1,}-[0-9A-Za-z-]{18}"),
    ("Stripe key", r"\b[rs]k_live_[0-9A-Za-z]{24}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50}"),
    ("Vault token", r"\bhv[bsr]\.[A-Za-z0-9_-]{24}"),
    ("DigitalOcean token", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    ("Docker Hub token", r"\bdckr_pat_[A-Za-z0-9_-]{20}"),
    ("API key", r"\bsk-(?:ant|proj)-[A-Za-z0-9_-]{32}|\bhf_[A-Za-z]{34}\b"),
    ("k3s token", r"\bK10[0-9a-f]{64}::"),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20}"),
    ("HTTP credentials", r"(?i)\bauthorization:\s*(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{20}"),
    (
        "password in a URL",
        r"\b(?:https?|ftps?|postgres(?:ql)?|mysql|redis|amqps?|mongodb|ldaps?)://[A-Za-z0-9._~-]{1,64}:[A-Za-z0-9._~!+=-]{6,64}@[A-Za-z0-9]",
    ),
];

const KEY: &str = "private key";
/// crypt(5), Apache's and GRUB's forms.
const HASH: &str = concat!(
    r"\$6\$(?:rounds=[0-9]{1,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}",
    r"|\$5\$(?:rounds=[0-9]{1,9}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}",
    r"|\$y\$[./0-9A-Za-z]{1,10}\$[./0-9A-Za-z]{1,86}\$[./0-9A-Za-z]{43}",
    r"|\$2[abxy]\$[0-9]{2}\$[./0-9A-Za-z]{53}",
    r"|\$(?:1|apr1)\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}",
    r"|grub\.pbkdf2\.sha512\.[0-9]{1,9}\.[0-9A-F]{32}",
);
/// Memory that the patterns may take together, in bytes, per thread.
const SIZE_MAX: usize = 64 << 20;
/// Stands in made-up secrets of documentation, such as Amazon's `AKIAIOSFODNN7EXAMPLE`.
const MADE_UP: &[u8] = b"EXAMPLE";

static SET: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSetBuilder::new(PATTERNS.iter().map(|(_, pattern)| bytewise(pattern)))
        .size_limit(SIZE_MAX)
        .dfa_size_limit(SIZE_MAX)
        .build()
        .expect("the patterns are constants, and a test builds them")
});
static EACH: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let compile = |(_, pattern): &(&str, &str)| {
        Regex::new(&bytewise(pattern)).expect("the patterns are constants, and a test builds them")
    };
    PATTERNS.iter().map(compile).collect()
});

/// Without Unicode, and `.` matches line ends, too.
fn bytewise(pattern: &str) -> String {
    format!("(?s-u){pattern}")
}

/// What kind of secret `bytes` hold, and where.
pub(super) fn look(bytes: &[u8]) -> Option<(&'static str, String)> {
    let matched = SET.matches(bytes);
    matched.iter().find_map(|number| {
        let real = |found: &regex::bytes::Match<'_>| {
            !found.as_bytes().windows(MADE_UP.len()).any(|part| part == MADE_UP)
        };
        let found = EACH[number].find_iter(bytes).find(real)?;
        let place = match found.start() {
            0 => "at its start".to_owned(),
            start => format!("line {}", line(bytes, start)),
        };
        Some((PATTERNS[number].0, place))
    })
}
