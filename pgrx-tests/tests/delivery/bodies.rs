//! What was stored is what arrives: bodies, and the content types that they imply.

use postgres::types::ToSql;

use crate::site::Site;

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain; charset=utf-8");
const BYTES: Option<&str> = Some("application/octet-stream");
const MEBIBYTE: usize = 1 << 20;

/// Sends what `expression` gives for `$1`, and returns body and content type as they arrived.
#[track_caller]
fn deliver(site: &mut Site, expression: &str, argument: &(dyn ToSql + Sync)) -> (Vec<u8>, Option<String>) {
    site.receiver.clear();
    let id: i64 = site.value_with(&format!("select hooks.send('q', {expression})"), &[argument]);
    let arrived = site.arrival("q");
    assert_eq!(arrived.message_id(), Some(id));
    let content_type = arrived.header("content-type").map(str::to_owned);
    site.wait_for_state(id, "delivered");
    (arrived.body, content_type)
}

fn site() -> Site {
    let mut site = Site::new();
    site.queue("q", "");
    site
}

#[test]
fn text_arrives_byte_for_byte_with_the_type_that_it_has() {
    let mut site = site();
    let cases = [
        ("plain", TEXT),
        ("a\nb\r\n\t\"c\" \\ %s $1 'd'", TEXT),
        ("Grüße, 世界 \u{1f680}\u{feff}", TEXT),
        (" {\"b\": 1,\n \"a\" : 2} ", JSON),
        ("[1, 2", TEXT),
        ("42", JSON),
        ("\"quoted\"", JSON),
    ];
    for (body, content_type) in cases {
        let arrived = deliver(&mut site, "$1::text", &body);
        assert_eq!(
            (arrived.0.as_slice(), arrived.1.as_deref()),
            (body.as_bytes(), content_type)
        );
    }
}

#[test]
fn jsonb_arrives_as_postgresql_prints_it() {
    let mut site = site();
    let written = r#"{"z": [1.50, null, "\u00fc"], "a":{"deep":true},"z2":"世界 \"q\"", "z": 1e2}"#;
    let printed: String = site.value(&format!("select '{written}'::jsonb::text"));
    let arrived = deliver(&mut site, "$1::text::jsonb", &written);
    assert_eq!(
        (String::from_utf8(arrived.0).unwrap(), arrived.1.as_deref()),
        (printed, JSON)
    );
}

#[test]
fn bytea_arrives_byte_for_byte() {
    let mut site = site();
    let every_byte: Vec<u8> = (0..=255).chain([0, 0]).collect();
    let arrived = deliver(&mut site, "$1::bytea", &every_byte);
    assert_eq!((arrived.0, arrived.1.as_deref()), (every_byte, BYTES));
    let json = b"{}".to_vec();
    let arrived = deliver(&mut site, "$1::bytea", &json);
    assert_eq!((arrived.0, arrived.1.as_deref()), (json, BYTES));
}

#[test]
fn untyped_literal_is_text() {
    let mut site = site();
    let id: i64 = site.value("select hooks.send('q', 'it')");
    let arrived = site.arrival("q");
    assert_eq!((arrived.text(), arrived.message_id()), ("it", Some(id)));
    let stored: bool = site.value("select proargtypes[1] = 'text'::regtype from pg_proc where oid = 'hooks.send(text, text, timestamptz, jsonb, text, timestamptz, text)'::regprocedure");
    assert!(stored);
}

#[test]
fn empty_and_null_bodies_arrive_empty() {
    let mut site = site();
    for expression in ["''", "null::text", "null::jsonb", "''::bytea", "null::bytea"] {
        site.receiver.clear();
        let id: i64 = site.value(&format!("select hooks.send('q', {expression})"));
        let arrived = site.arrival("q");
        assert_eq!(
            (arrived.body_length, arrived.header("content-length")),
            (0, Some("0")),
            "{expression}"
        );
        assert_eq!(
            arrived.header("content-type").is_some(),
            expression.starts_with('\''),
            "{expression}"
        );
        site.wait_for_state(id, "delivered");
    }
}

#[test]
fn body_of_one_mebibyte_arrives() {
    let mut site = site();
    let text: String = "ü€x12"
        .chars()
        .cycle()
        .take(MEBIBYTE)
        .scan(0, |length, c| {
            *length += c.len_utf8();
            (*length <= MEBIBYTE).then_some(c)
        })
        .collect();
    let arrived = deliver(&mut site, "$1::text", &text);
    assert!(arrived.0 == text.as_bytes());
    let bytes: Vec<u8> = (0..MEBIBYTE).map(|n| (n * 7 % 251) as u8).collect();
    let arrived = deliver(&mut site, "$1::bytea", &bytes);
    assert!(arrived.0 == bytes);
}
