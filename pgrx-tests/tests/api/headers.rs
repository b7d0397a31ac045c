//! Headers that neither a queue nor a message can have.

use postgres::Client;

use crate::database::run;
use crate::policies::{assert_policy_refused, database_with_queue};
use crate::refusal::{INVALID, assert_all_refused, refusal};

const GIVE_OBJECT: &str = "Give an object of strings such as {\"X-Source\": \"billing\"}.";
const USE_ASCII: &str = "Use visible ASCII characters, spaces and tabs.";
const USE_TOKEN: &str = "Use letters, digits and hyphens.";
const RESERVED: &str = "Remove it; the connection and the signature set such headers themselves.";

#[track_caller]
fn assert_headers_refused(client: &mut Client, headers: &str, message: &str, hint: &str) {
    let headers = format!("'{headers}'");
    assert_policy_refused(client, &[("headers", &headers)], message, hint);
    let send = |body: &str| format!("select hooks.send('good', {body}, headers => {headers})");
    let batch = |bodies: &str| format!("select hooks.send_batch('good', {bodies}, headers => {headers})");
    let statements = [
        send("'x'"),
        send("'{}'::jsonb"),
        send("'x'::bytea"),
        batch("array['x', 'y']"),
        batch("array['{}', '{}']::jsonb[]"),
        batch("array['x', 'y']::bytea[]"),
        format!(
            "insert into hooks.message (queue_id, body, headers)
             select id, 'x', {headers} from hooks.queue where name = 'good'"
        ),
        format!("update hooks.message set headers = {headers}"),
    ];
    assert_all_refused(client, &statements, INVALID, message, hint);
}

/// Asserts it for several sets of headers; a message waits for the plain UPDATE.
#[track_caller]
fn assert_all_headers_refused(cases: &[(&str, &str, &str)]) {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    for (headers, message, hint) in cases {
        assert_headers_refused(&mut client, headers, message, hint);
    }
}

#[test]
fn headers_that_are_no_object_are_refused() {
    let message = "headers are not a JSON object";
    let cases = ["[]", "\"X-A: b\"", "1", "true"].map(|headers| (headers, message, GIVE_OBJECT));
    assert_all_headers_refused(&cases);
}

#[test]
fn header_value_that_is_no_string_is_refused() {
    let message = "value of header \"x-a\" is not a string";
    let values = ["1", "null", "true", "[]", "{}"].map(|value| format!("{{\"X-A\": {value}}}"));
    let cases = values
        .each_ref()
        .map(|headers| (headers.as_str(), message, GIVE_OBJECT));
    assert_all_headers_refused(&cases);
}

#[test]
fn line_break_in_a_header_is_refused() {
    let in_value =
        "value of header \"x-a\" contains a line break, a control character or a non-ASCII character";
    let cases = [
        (r#"{"X-A": "a\r\nX-B: b"}"#, in_value, USE_ASCII),
        (r#"{"X-A": "a\rb"}"#, in_value, USE_ASCII),
        (r#"{"X-A": "a\nb"}"#, in_value, USE_ASCII),
        (r#"{"X-A": "ä"}"#, in_value, USE_ASCII),
        (
            r#"{"X-A\r\nX-B": "b"}"#,
            "header name contains the character \"\\r\"",
            USE_TOKEN,
        ),
        (
            r#"{"X-A\nX-B": "b"}"#,
            "header name contains the character \"\\n\"",
            USE_TOKEN,
        ),
    ];
    assert_all_headers_refused(&cases);
}

#[test]
fn header_name_that_is_no_token_is_refused() {
    let cases = [
        (r#"{"": "a"}"#, "header name is empty", GIVE_OBJECT),
        (
            r#"{"X A": "a"}"#,
            "header name contains the character \" \"",
            USE_TOKEN,
        ),
        (
            r#"{"X:A": "a"}"#,
            "header name contains the character \":\"",
            USE_TOKEN,
        ),
        (
            r#"{"X-A": "a", "x-a": "b"}"#,
            "header \"x-a\" is given more than once",
            "Header names do not differ by case; join the values with a comma.",
        ),
    ];
    assert_all_headers_refused(&cases);
}

#[test]
fn reserved_header_is_refused_in_every_spelling() {
    let names = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "connection",
        "Keep-Alive",
        "Upgrade",
        "TE",
        "Trailer",
        "Expect",
        "Proxy-Authorization",
        "webhook-id",
        "Webhook-Timestamp",
        "WEBHOOK-SIGNATURE",
        "webhook-attempt",
    ];
    let cases = names.map(|name| {
        let message = format!("header \"{}\" is reserved", name.to_lowercase());
        (format!("{{\"{name}\": \"a\"}}"), message)
    });
    let cases = cases
        .each_ref()
        .map(|(headers, message)| (headers.as_str(), message.as_str(), RESERVED));
    assert_all_headers_refused(&cases);
}

#[test]
fn header_value_is_not_repeated_in_the_error() {
    let database = database_with_queue();
    let mut client = database.connect();
    for headers in [
        r#"{"Authorization": "Bearer hunter2\n"}"#,
        r#"{"Host": "hunter2"}"#,
        r#"["hunter2"]"#,
    ] {
        let send = format!("select hooks.send('good', 'x', headers => '{headers}')");
        let refused = refusal(&mut client, &send);
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}
