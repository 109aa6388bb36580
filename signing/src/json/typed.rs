//! Between [`Value`] and Rust types, through serde.

use std::cell::Cell;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::read::StrictValue;
use super::{JsonError, Value};

/// Reads a typed value out of an already parsed one: what was verified is what is used.
///
/// # Errors
/// [`JsonError::Shape`] names the field that does not fit.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, JsonError> {
    T::deserialize(to_serde(value)).map_err(|error| JsonError::Shape(error.to_string()))
}

/// The [`Value`] of anything serialisable.
///
/// # Errors
/// A float or an integer beyond 64 bits ([`JsonError::NotAnInteger`]), or a map whose keys are not strings.
pub fn to_value<T: Serialize>(value: &T) -> Result<Value, JsonError> {
    let loose = serde_json::to_value(value).map_err(|error| JsonError::Shape(error.to_string()))?;
    strict(loose)
}

/// The canonical bytes of anything serialisable; see [`Value::canonical`].
///
/// # Errors
/// As [`to_value`].
pub fn to_canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    Ok(to_value(value)?.canonical())
}

/// Deterministic JSON that [`parse`](super::parse) always reads back: as the canonical form, but with control characters
/// escaped. For what is stored and read again; what is signed uses [`to_canonical`].
///
/// # Errors
/// As [`to_value`].
pub fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json::to_vec(&to_value(value)?).map_err(|error| JsonError::Shape(error.to_string()))
}

fn strict(value: serde_json::Value) -> Result<Value, JsonError> {
    use serde_json::Value as Loose;
    Ok(match value {
        Loose::Null => Value::Null,
        Loose::Bool(value) => Value::Bool(value),
        Loose::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int(integer),
            None => return Err(JsonError::NotAnInteger(number.to_string())),
        },
        Loose::String(text) => Value::String(text),
        Loose::Array(values) => Value::Array(values.into_iter().map(strict).collect::<Result<_, _>>()?),
        Loose::Object(members) => {
            let members = members.into_iter().map(|(key, value)| Ok((key, strict(value)?)));
            Value::Object(members.collect::<Result<_, _>>()?)
        }
    })
}

fn to_serde(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => values.iter().map(to_serde).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), to_serde(value))).collect(),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(values) => serializer.collect_seq(values),
            Value::Object(members) => serializer.collect_map(members),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StrictValue { depth: 0, reason: &Cell::new(None) }.deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::super::{JsonError, Value, parse};
    use super::{from_value, to_canonical, to_json, to_value};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        size: u64,
        custom: Option<Value>,
    }

    #[test]
    fn typed_values_round_trip() {
        let sample = Sample { name: "é\n".into(), size: 7, custom: Some(Value::from([("k", 1.into())])) };
        let value = to_value(&sample).unwrap();
        assert_eq!(from_value::<Sample>(&value).unwrap(), sample);
        assert_eq!(
            to_canonical(&sample).unwrap(),
            "{\"custom\":{\"k\":1},\"name\":\"é\n\",\"size\":7}".as_bytes()
        );
    }

    #[test]
    fn stored_json_is_canonical_but_for_control_characters() {
        let plain = Value::from([("é\u{7f}/\"\\", "\u{1F600}".into()), ("a", 1.into())]);
        assert_eq!(to_json(&plain).unwrap(), plain.canonical());
        let lines = Value::from("{\n}\0");
        assert_eq!(to_json(&lines).unwrap(), br#""{\n}\u0000""#);
        assert_eq!(parse(&to_json(&lines).unwrap(), 99), Ok(lines.clone()));
        assert!(parse(&lines.canonical(), 99).is_err(), "the canonical form of a line break is no JSON");
    }

    #[test]
    fn shapes_are_checked() {
        let value = parse(br#"{"name":"n","size":-1}"#, 100).unwrap();
        assert!(matches!(from_value::<Sample>(&value), Err(JsonError::Shape(_))));
        let value = parse(br#"{"name":"n"}"#, 100).unwrap();
        assert_eq!(from_value::<Sample>(&value), Err(JsonError::Shape("missing field `size`".into())));
    }

    #[test]
    fn only_integers_can_be_written() {
        assert!(matches!(to_canonical(&0.5), Err(JsonError::NotAnInteger(_))));
        assert!(matches!(to_canonical(&u64::MAX), Err(JsonError::NotAnInteger(_))));
        assert!(matches!(to_canonical(&BTreeMap::from([((1, 2), 3)])), Err(JsonError::Shape(_))));
    }
}
