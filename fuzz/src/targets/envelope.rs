//! Events and their envelopes.

use http::{HeaderName, HeaderValue};
use pg_hooks::domain::envelope::Envelope;
use pg_hooks::domain::event::{Event, Metadata};
use pg_hooks::domain::headers::Headers;
use pg_hooks::domain::message::Body;
use pg_hooks::domain::time::Timestamp;
use serde_json::Value;

const NAMES: [&str; 4] = ["raw", "standard", "cloudevents", "cloudevents-binary"];

/// The lines are: headers of the event, its metadata, headers of the message, and data, each JSON.
pub fn run(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (event_headers, metadata, message_headers, data) = (next(), next(), next(), next());
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or_default();
    let (Ok(headers), Ok(metadata), Ok(message)) = (
        Headers::from_json(&json(event_headers)),
        Metadata::from_json(&json(metadata)),
        Headers::from_json(&json(message_headers)),
    ) else {
        return;
    };
    let event = Event {
        id: 7,
        kind: "order.created".to_owned(),
        created_at: Timestamp(1_700_000_000_000_000),
        payload: Vec::new(),
        metadata,
        headers,
    };
    for name in NAMES {
        let envelope = Envelope::parse(name).expect("a name of an envelope");
        let Ok((headers, body)) = envelope.wrap(&event, "key", data.to_vec(), &message) else {
            continue;
        };
        for (name, value) in headers.iter() {
            assert!(HeaderName::from_bytes(name.as_bytes()).is_ok());
            assert!(HeaderValue::from_str(value).is_ok());
        }
        let Body::Text(body) = body else {
            panic!("an envelope is text");
        };
        // Data that is deeper than the parser goes is put in as it is not parsed.
        match name {
            "raw" | "cloudevents-binary" => assert_eq!(body, data),
            _ => assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() || is_deep(data)),
        }
    }
}

/// The parser stops at 128 levels, one of which the envelope is.
fn is_deep(data: &[u8]) -> bool {
    data.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() >= 127
}
