//! OLPC canonical JSON, the form that is hashed and signed.

use super::Value;

impl Value {
    /// The canonical bytes of this value. They are not always JSON themselves: control characters stand unescaped.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(self, &mut out);
        out
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (position, value) in values.iter().enumerate() {
                separate(position, out);
                write(value, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (position, (key, value)) in members.iter().enumerate() {
                separate(position, out);
                write_string(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn separate(position: usize, out: &mut Vec<u8>) {
    if position > 0 {
        out.push(b',');
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::{Value, parse};

    fn canonical(text: &str) -> String {
        String::from_utf8(parse(text.as_bytes(), 4096).unwrap().canonical()).unwrap()
    }

    #[test]
    fn white_space_goes_and_keys_are_sorted() {
        assert_eq!(
            canonical(" { \"b\" : [ 1 , -2 , true , null ] , \"a\" : { } }\n"),
            r#"{"a":{},"b":[1,-2,true,null]}"#
        );
    }

    #[test]
    fn only_quote_and_backslash_are_escaped() {
        assert_eq!(canonical(r#""\u0041\/\b\n\t\u0000\"\\é""#), "\"A/\u{8}\n\t\0\\\"\\\\é\"");
    }

    /// UTF-16 order (RFC 8785) would put the astral key first.
    #[test]
    fn keys_sort_by_code_point() {
        assert_eq!(
            canonical("{\"\u{1F600}\":1,\"\u{FB33}\":2,\"a\":3,\"\":4}"),
            "{\"\":4,\"a\":3,\"\u{FB33}\":2,\"\u{1F600}\":1}"
        );
    }

    #[test]
    fn integers_have_one_spelling() {
        assert_eq!(Value::Int(i64::MIN).canonical(), b"-9223372036854775808");
        assert_eq!(Value::Int(i64::MAX).canonical(), b"9223372036854775807");
        assert_eq!(canonical("[0,1,-1]"), "[0,1,-1]");
    }
}
