//! Headers that users set, as JSON.

use http::{HeaderName, HeaderValue};
use pg_hooks::domain::headers::{Headers, MAX_HEADERS};

/// What is accepted can be sent, one line for each header.
pub fn run(data: &[u8]) {
    let Ok(json) = serde_json::from_slice(data) else {
        return;
    };
    let headers = match Headers::from_json(&json) {
        Ok(headers) => headers,
        Err(invalid) => {
            assert!(!invalid.message.is_empty() && invalid.hint.ends_with('.'));
            return;
        }
    };
    // Seven are added to dead letters and to what is sent once more, and not counted.
    assert!(headers.iter().count() <= MAX_HEADERS + 7);
    for (name, value) in headers.iter() {
        assert!(HeaderName::from_bytes(name.as_bytes()).is_ok_and(|sent| sent.as_str() == name));
        assert!(HeaderValue::from_str(value).is_ok_and(|sent| sent.to_str().is_ok_and(|sent| sent == value)));
        assert!(!matches!(
            name,
            "host" | "content-length" | "transfer-encoding" | "connection"
        ));
        assert!(!name.starts_with("webhook-"));
        assert_eq!(headers.get(&name.to_uppercase()), Some(value));
    }
    assert!(headers.over(&headers) == headers);
}
