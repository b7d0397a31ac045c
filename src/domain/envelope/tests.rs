use serde_json::json;

use super::*;
use crate::domain::time::Timestamp;

fn event(metadata: Value) -> Event {
    Event {
        id: 7,
        kind: "order.created".to_owned(),
        created_at: Timestamp(1_704_164_645_000_120),
        payload: b"{\"a\": 1}".to_vec(),
        metadata: Metadata::from_json(&metadata).unwrap(),
        headers: Headers::from_json(&json!({"x-of": "event", "x-event": "1"})).unwrap(),
    }
}

fn wrapped(envelope: Envelope, metadata: Value) -> (Headers, String) {
    let message = Headers::from_json(&json!({"X-Of": "message"})).unwrap();
    let event = event(metadata);
    let data = event.payload.clone();
    let (headers, body) = envelope.wrap(&event, "key", data, &message).unwrap();
    (headers, String::from_utf8(body.bytes().to_vec()).unwrap())
}

#[test]
fn raw_is_the_payload_with_metadata_in_headers() {
    let (headers, body) = wrapped(Envelope::Raw, json!({"tenant": "acme"}));
    assert_eq!(body, "{\"a\": 1}");
    assert_eq!(headers.get("hooks-meta-tenant"), Some("acme"));
    assert_eq!(headers.get("x-of"), Some("message"));
    assert_eq!(headers.get("x-event"), Some("1"));
}

#[test]
fn standard_holds_type_timestamp_and_data() {
    let (headers, body) = wrapped(Envelope::Standard, Value::Null);
    assert_eq!(
        body,
        "{\"type\":\"order.created\",\"timestamp\":\"2024-01-02T03:04:05.000120Z\",\"data\":{\"a\": 1}}"
    );
    assert_eq!(headers.get("content-type"), None);
    let (headers, body) = wrapped(Envelope::Standard, json!({"tenant": "a\"b"}));
    assert!(
        body.contains("\"metadata\":{\"tenant\":\"a\\\"b\"},\"data\":"),
        "{body}"
    );
    assert_eq!(headers.get("hooks-meta-tenant"), None);
}

#[test]
fn structured_cloudevents_hold_their_attributes() {
    let metadata = json!({"tenant-id": "acme", "subject": "orders/7", "type": "x", "source": "/shop"});
    let (headers, body) = wrapped(Envelope::CloudEvents, metadata);
    assert_eq!(
        headers.get("content-type"),
        Some("application/cloudevents+json; charset=utf-8")
    );
    let expected = json!({
        "specversion": "1.0", "id": "evt_key_7", "source": "/shop", "type": "order.created",
        "time": "2024-01-02T03:04:05.000120Z", "subject": "orders/7", "tenantid": "acme",
        "metatype": "x", "datacontenttype": "application/json", "data": {"a": 1},
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[test]
fn binary_cloudevents_are_the_payload_with_headers() {
    let (headers, body) = wrapped(Envelope::CloudEventsBinary, json!({"note": "50% \"off\""}));
    assert_eq!(body, "{\"a\": 1}");
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "evt_key_7"),
        ("ce-source", "/pg_hooks/key"),
        ("ce-type", "order.created"),
        ("ce-time", "2024-01-02T03:04:05.000120Z"),
        ("ce-note", "50%25%20%22off%22"),
        ("content-type", "application/json"),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name), Some(value), "{name}");
    }
    assert_eq!(headers.get("hooks-meta-note"), None);
}

/// A value of metadata may be as long as one of a header before it is encoded.
#[test]
fn encoded_values_may_be_longer_than_given_ones() {
    let spaces = " ".repeat(8192);
    let (headers, _) = wrapped(Envelope::CloudEventsBinary, json!({"note": spaces}));
    assert_eq!(headers.get("ce-note"), Some("%20".repeat(8192).as_str()));
}

#[test]
fn headers_of_an_envelope_win() {
    let message = Headers::from_json(&json!({"Content-Type": "text/plain"})).unwrap();
    let (headers, _) = Envelope::CloudEvents
        .wrap(&event(Value::Null), "key", b"1".to_vec(), &message)
        .unwrap();
    assert_eq!(
        headers.get("content-type"),
        Some("application/cloudevents+json; charset=utf-8")
    );
}

#[test]
fn data_that_is_not_json_becomes_a_string() {
    let (_, body) = Envelope::Standard
        .wrap(
            &event(Value::Null),
            "key",
            b"a \"b\"".to_vec(),
            &Headers::default(),
        )
        .unwrap();
    let body = String::from_utf8(body.bytes().to_vec()).unwrap();
    assert!(body.ends_with("\"data\":\"a \\\"b\\\"\"}"), "{body}");
}

#[test]
fn same_event_gives_same_bytes() {
    for envelope in ["raw", "standard", "cloudevents", "cloudevents-binary"] {
        let envelope = Envelope::parse(envelope).unwrap();
        let metadata = json!({"b": "1", "a": "2"});
        let (headers, body) = wrapped(envelope, metadata.clone());
        assert_eq!((headers, body), wrapped(envelope, metadata));
    }
    assert_eq!(Envelope::parse("xml"), None);
}
