//! The strict parser: serde_json's reader, driven by a visitor that refuses what is ambiguous.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{JsonError, Value};
use crate::limits::MAX_JSON_DEPTH;

/// Parses exactly one JSON value of at most `max_len` bytes.
///
/// # Errors
/// [`JsonError::TooLarge`] before any parsing; else what is ambiguous or malformed, see [`JsonError`].
pub fn parse(bytes: &[u8], max_len: usize) -> Result<Value, JsonError> {
    if bytes.len() > max_len {
        return Err(JsonError::TooLarge { max: max_len, found: bytes.len() });
    }
    let reason = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = StrictValue { depth: 0, reason: &reason };
    let parsed = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    parsed.map_err(|error| reason.take().unwrap_or_else(|| JsonError::Syntax(error.to_string())))
}

/// Reads one value at `depth`. A refusal of ours is left in `reason`, because serde's errors carry only text.
#[derive(Clone, Copy)]
pub(super) struct StrictValue<'r> {
    pub(super) depth: usize,
    pub(super) reason: &'r Cell<Option<JsonError>>,
}

impl StrictValue<'_> {
    fn refuse<E: serde::de::Error>(&self, reason: JsonError) -> E {
        let error = E::custom(&reason);
        self.reason.set(Some(reason));
        error
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(self.refuse(JsonError::TooDeep(MAX_JSON_DEPTH)));
        }
        Ok(Self { depth: self.depth + 1, ..*self })
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without fractions")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        let integer = i64::try_from(number);
        integer.map(Value::Int).map_err(|_| self.refuse(JsonError::NotAnInteger(number.to_string())))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        Err(self.refuse(JsonError::NotAnInteger(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey(key)));
            }
            let value = entries.next_value_seed(inner)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }

    // serde_json never asks for this; other formats might through `Value: Deserialize`.
    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        Err(E::custom("an absent value is not JSON"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{JsonError, Value};
    use super::parse;
    use crate::limits::MAX_JSON_DEPTH;

    fn error(text: &str) -> JsonError {
        parse(text.as_bytes(), 1 << 20).unwrap_err()
    }

    #[test]
    fn ambiguous_json_is_refused_by_name() {
        assert_eq!(error(r#"{"a":1,"b":2,"a":1}"#), JsonError::DuplicateKey("a".into()));
        assert_eq!(error(r#"{"\u0061":1,"a":2}"#), JsonError::DuplicateKey("a".into()));
        for number in ["1.0", "1e3", "1E0", "-0", "18446744073709551616", "9223372036854775808", "0.1"] {
            assert!(matches!(error(number), JsonError::NotAnInteger(_)), "{number}");
            let nested = format!("{{\"version\":{number}}}");
            assert!(matches!(error(&nested), JsonError::NotAnInteger(_)), "{number}");
        }
    }

    #[test]
    fn malformed_json_is_a_syntax_error() {
        for text in [
            "",
            " ",
            "\u{feff}{}",
            "{} {}",
            "{}x",
            "{}\0",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            "\"\n\"",
            "{\"a\":}",
            "[1,]",
            "{'a':1}",
            "NaN",
            "01",
            "+1",
            "1e999",
            "nul",
            "[",
            "/**/1",
        ] {
            assert!(matches!(error(text), JsonError::Syntax(_)), "{text:?} {:?}", error(text));
        }
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(parse(&utf16, 99), Err(JsonError::Syntax(_))));
        assert!(matches!(parse(b"\"\xff\"", 99), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn depth_and_length_are_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_JSON_DEPTH).as_bytes(), 1 << 20).is_ok());
        assert_eq!(error(&nested(MAX_JSON_DEPTH + 1)), JsonError::TooDeep(MAX_JSON_DEPTH));
        assert_eq!(error(&nested(10_000)), JsonError::TooDeep(MAX_JSON_DEPTH));
        assert_eq!(error(&"{\"a\":".repeat(10_000)), JsonError::TooDeep(MAX_JSON_DEPTH));
        assert!(parse(b"[1]", 3).is_ok());
        assert_eq!(parse(b"[1]", 2), Err(JsonError::TooLarge { max: 2, found: 3 }));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..8).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        /// What serde_json writes (with all its escapes) is read back to the same value, hence the same canonical bytes.
        #[test]
        fn every_spelling_reads_the_same(value in any_value()) {
            for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
                prop_assert_eq!(&parse(&text, usize::MAX).unwrap(), &value);
            }
        }

        /// Without control characters the canonical form is JSON and stands still.
        #[test]
        fn canonical_form_is_a_fixed_point(value in any_value()) {
            let canonical = value.canonical();
            if !canonical.iter().any(|byte| *byte < b' ') {
                let again = parse(&canonical, usize::MAX).unwrap();
                prop_assert_eq!(&again, &value);
                prop_assert_eq!(again.canonical(), canonical);
            }
        }

        #[test]
        fn different_values_have_different_canonical_forms(a in any_value(), b in any_value()) {
            prop_assert_eq!(a == b, a.canonical() == b.canonical());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, 200);
        }

        #[test]
        fn json_like_text_never_panics(text in r#"[\[\]{}":,\\ud0-9a-f eE.+\-]{0,60}"#) {
            let _ = parse(text.as_bytes(), 200);
        }
    }
}
