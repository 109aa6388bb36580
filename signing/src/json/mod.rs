//! JSON as TUF needs it: one strict reading, one canonical writing.
//!
//! Bytes are parsed once into a [`Value`]; the signature is checked over that value's canonical form, and the typed fields are
//! read from *the same* value. Parsing twice with two parsers is how "verified" and "used" come apart.
//!
//! The parser refuses what two readers could understand differently: duplicate keys, numbers that are not integers of 64 bits,
//! byte order marks, trailing bytes, lone surrogates. Canonical form is OLPC's (not RFC 8785): keys sorted by code point, no
//! white space, and only `"` and `\` escaped, so a line break inside a string is written as it is.

mod canonical;
mod read;
mod typed;

use std::collections::BTreeMap;

pub use self::read::parse;
pub use self::typed::{from_value, to_canonical, to_json, to_value};

/// A JSON value without floating point numbers and without duplicate keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer of 64 bits; anything else is refused at parsing.
    Int(i64),
    /// A string of Unicode scalar values.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object, sorted by code point of its keys.
    Object(BTreeMap<String, Value>),
}

/// Why bytes are not acceptable JSON, or a value has not the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Endless data: longer than the caller's limit; nothing was parsed.
    #[error("JSON is {found} bytes long, at most {max} are allowed")]
    TooLarge {
        /// Limit in bytes.
        max: usize,
        /// Length in bytes.
        found: usize,
    },
    /// Not JSON at all; the text says where.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// The same key twice in one object: readers disagree about which one counts.
    #[error("object has the key {0:?} twice")]
    DuplicateKey(String),
    /// A number with a fraction or an exponent, or outside of 64 bits.
    #[error("number {0} is not a 64-bit integer")]
    NotAnInteger(String),
    /// Nested deeper than [`MAX_JSON_DEPTH`](crate::limits::MAX_JSON_DEPTH).
    #[error("nested deeper than {0} levels")]
    TooDeep(usize),
    /// Valid JSON, but not of the expected shape.
    #[error("unexpected shape: {0}")]
    Shape(String),
}

impl Value {
    /// The value under `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The number, if this is an integer that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i64()?.try_into().ok()
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(members: [(&str, Value); N]) -> Self {
        Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}
