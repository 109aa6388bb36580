//! Which module drives which device: `modules.alias` and its patterns.

use std::collections::BTreeMap;

/// Longest modalias or pattern looked at, in bytes. Longer ones match nothing; the kernel's own are far shorter.
const TEXT_MAX: usize = 1024;

/// Patterns by bus, the part before the first `:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases {
    by_bus: BTreeMap<String, Vec<(String, String)>>,
}

impl Aliases {
    /// Reads `modules.alias`: lines `alias PATTERN MODULE`; others are skipped.
    pub fn parse(text: &str) -> Self {
        let mut by_bus: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("alias"), Some(pattern), Some(module), None) =
                (words.next(), words.next(), words.next(), words.next())
            {
                by_bus
                    .entry(bus(pattern).to_owned())
                    .or_default()
                    .push((pattern.to_owned(), module.to_owned()));
            }
        }
        Self { by_bus }
    }

    /// Modules for a device, in file order.
    pub fn modules_for<'a>(&'a self, modalias: &'a str) -> impl Iterator<Item = &'a str> {
        let candidates = self.by_bus.get(bus(modalias)).map_or(&[][..], Vec::as_slice);
        candidates.iter().filter(|(pattern, _)| matches(pattern, modalias)).map(|(_, module)| module.as_str())
    }
}

fn bus(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

/// Shell patterns as depmod writes them: `*`, `?`, `[…]` with ranges and `!`. Time is at most the product of the lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    if pattern.len() > TEXT_MAX || text.len() > TEXT_MAX {
        return false;
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star when what follows it does not fit: pattern behind the star, text one further.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = one(pattern, p, text[t]) {
            p = next;
            t += 1;
        } else if let Some((behind, from)) = star {
            star = Some((behind, from + 1));
            p = behind;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// If the element at `at` matches `byte`, where the next element begins.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => {
            let (negated, start) = match pattern.get(at + 1) {
                Some(b'!' | b'^') => (true, at + 2),
                _ => (false, at + 1),
            };
            // A `]` in the first place stands for itself; without an end the bracket is a letter like any other.
            let Some(length) = pattern.get(start + 1..).and_then(|rest| rest.iter().position(|b| *b == b']'))
            else {
                return (byte == b'[').then_some(at + 1);
            };
            let end = start + 1 + length;
            (in_set(&pattern[start..end], byte) != negated).then_some(end + 1)
        }
        literal => (literal == byte).then_some(at + 1),
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let mut rest = set;
    while let Some((first, behind)) = rest.split_first() {
        if let [b'-', last, ..] = behind {
            if (*first..=*last).contains(&byte) {
                return true;
            }
            rest = &behind[2..];
        } else {
            if *first == byte {
                return true;
            }
            rest = behind;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn devices_find_their_modules() {
        let aliases = Aliases::parse(
            "# Aliases extracted from modules themselves.\n\
             alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n\
             alias virtio:d00000001v* virtio_net\n\
             alias virtio:d00000002v* virtio_blk\n\
             alias usb:v0525pA4A2d03[0-2]*dc*dsc*dp*ic*isc*ip*in* usbnet\n\
             alias broken\n",
        );
        let all = |modalias| aliases.modules_for(modalias).collect::<Vec<_>>();
        assert_eq!(all("pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00"), ["virtio_pci"]);
        assert_eq!(all("virtio:d00000002v00001AF4"), ["virtio_blk"]);
        assert_eq!(all("usb:v0525pA4A2d0312dc00dsc00dp00ic02isc06ip00in00"), ["usbnet"]);
        assert_eq!(all("usb:v0525pA4A2d0332dc00dsc00dp00ic02isc06ip00in00"), Vec::<&str>::new());
        assert_eq!(all("acpi:PNP0501:"), Vec::<&str>::new());
    }

    #[test]
    fn patterns_mean_what_the_shell_means() {
        for (pattern, text, expected) in [
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "aXXbYY", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[!a-c]x", "dx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[a-", "[a-", true),
            ("[0-9A-F]*", "F1", true),
            ("a", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_exponential_time() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(!matches("x", &"x".repeat(TEXT_MAX + 1)));
    }

    proptest! {
        #[test]
        fn no_pattern_panics_and_a_text_matches_itself(pattern in "[ab*?\\[\\]!^-]{0,12}", text in "[ab:-]{0,12}") {
            let _either = matches(&pattern, &text);
            prop_assert!(matches(&text, &text));
        }
    }
}
