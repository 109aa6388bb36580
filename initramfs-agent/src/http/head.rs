//! What of an answer's head matters here.

use std::time::Duration;

use ureq::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING};
use ureq::http::{HeaderMap, HeaderName};

use super::HttpError;

/// Longest wait that a server may ask for; a longer one is cut to it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// Refuses a body that would not arrive as the server meant it: two kinds of framing, or a coding that was not asked for.
///
/// # Errors
/// [`HttpError::Malformed`].
pub(super) fn check(head: &HeaderMap) -> Result<(), HttpError> {
    let malformed = |what: &str| Err(HttpError::Malformed(what.to_owned()));
    if head.contains_key(TRANSFER_ENCODING) && head.contains_key(CONTENT_LENGTH) {
        return malformed("both Content-Length and Transfer-Encoding");
    }
    if !only(head, &TRANSFER_ENCODING, "chunked") {
        return malformed("unknown Transfer-Encoding");
    }
    if !only(head, &CONTENT_ENCODING, "identity") {
        return malformed("Content-Encoding was not asked for");
    }
    Ok(())
}

/// Whether a field is missing, or there once with this value.
fn only(head: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    let mut values = head.get_all(name).iter();
    values.next().is_none_or(|first| first.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        && values.next().is_none()
}

/// `Retry-After` in seconds, cut to two minutes; dates are not read.
pub(super) fn retry_after(head: &HeaderMap) -> Option<Duration> {
    let text = head.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    // More digits than a number holds are a long wait, too.
    let seconds = digits.then(|| text.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(HeaderName, &'static str)| (name.clone(), value.parse().unwrap());
        let mut head = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            head.append(name, value);
        }
        head
    }

    #[test]
    fn a_long_wait_is_cut_and_a_date_is_not_read() {
        let wait = |text| retry_after(&head(&[(RETRY_AFTER, text)]));
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(wait("99999999999999999999999999"), Some(RETRY_AFTER_MAX));
        for text in ["", "-1", "+1", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(wait(text), None, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let refused = |fields: &[_]| check(&head(fields)).unwrap_err().to_string();
        assert_eq!(
            refused(&[(CONTENT_LENGTH, "1"), (TRANSFER_ENCODING, "chunked")]),
            "malformed answer: both Content-Length and Transfer-Encoding"
        );
        let twice = [(TRANSFER_ENCODING, "chunked"), (TRANSFER_ENCODING, "chunked")];
        for fields in [&[(TRANSFER_ENCODING, "gzip, chunked")][..], &twice] {
            assert_eq!(refused(fields), "malformed answer: unknown Transfer-Encoding");
        }
        assert_eq!(
            refused(&[(CONTENT_ENCODING, "gzip")]),
            "malformed answer: Content-Encoding was not asked for"
        );
        check(&head(&[(TRANSFER_ENCODING, "Chunked"), (CONTENT_ENCODING, "identity")])).unwrap();
    }
}
