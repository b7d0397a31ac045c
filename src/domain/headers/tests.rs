use proptest::prelude::*;
use serde_json::json;

use super::*;

fn headers(json: Value) -> Headers {
    Headers::from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn refusal(json: Value) -> String {
    let error = Headers::from_json(&json).expect_err(&json.to_string());
    assert!(error.hint.ends_with('.'));
    error.message
}

#[test]
fn an_object_of_strings_becomes_headers_in_its_order() {
    let headers = headers(json!({"X-B": "2", "authorization": "Bearer a b\tc~", "A!#$%&'*+-.^_`|~9": ""}));
    let entries: Vec<_> = headers.iter().collect();
    assert_eq!(
        entries,
        [
            ("x-b", "2"),
            ("authorization", "Bearer a b\tc~"),
            ("a!#$%&'*+-.^_`|~9", "")
        ]
    );
    assert_eq!(headers.get("x-b"), Some("2"));
    assert_eq!(headers.get("Authorization"), Some("Bearer a b\tc~"));
    assert_eq!(headers.get("x-c"), None);
}

#[test]
fn null_and_the_empty_object_mean_none() {
    assert_eq!(headers(Value::Null), Headers::default());
    assert_eq!(headers(json!({})), Headers::default());
}

#[test]
fn what_is_no_object_of_strings_is_refused() {
    for json in [json!([]), json!("X-A: b"), json!(1), json!(true)] {
        assert_eq!(refusal(json), "headers are not a JSON object");
    }
    for value in [
        json!(1),
        json!(null),
        json!(true),
        json!(["a"]),
        json!({"a": "b"}),
    ] {
        assert_eq!(
            refusal(json!({"X-A": value})),
            "value of header \"x-a\" is not a string"
        );
    }
}

#[test]
fn a_name_is_a_token() {
    for (name, message) in [
        ("", "header name is empty"),
        ("X A", "header name contains the character \" \""),
        ("X-A:", "header name contains the character \":\""),
        ("X-A\r\nX-B", "header name contains the character \"\\r\""),
        ("X\0", "header name contains the character \"\\u{0}\""),
        ("X-\"A\"", "header name contains the character \"\\\"\""),
        ("X-Ä", "header name contains the character \"\\u{c4}\""),
        (":path", "header name contains the character \":\""),
    ] {
        assert_eq!(refusal(json!({name: "v"})), message);
    }
}

#[test]
fn names_that_are_not_the_users_are_refused_in_any_case() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "Keep-Alive",
        "Proxy-Authorization",
        "proxy-connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Webhook-Id",
        "webhook-signature",
        "WEBHOOK-anything",
    ] {
        let message = format!("header \"{}\" is reserved", name.to_lowercase());
        assert_eq!(refusal(json!({name: "v"})), message);
    }
    headers(json!({"User-Agent": "a", "Content-Type": "b", "X-Host": "c", "Test": "d", "Webhooks": "e"}));
}

#[test]
fn a_value_cannot_break_out_of_its_line() {
    for value in [
        "a\r\nX-B: c",
        "a\n",
        "\r",
        "\0",
        "\x1b[0m",
        "\x7f",
        "ü",
        "\u{2028}",
    ] {
        assert_eq!(
            refusal(json!({"X-A": value})),
            "value of header \"x-a\" contains a line break, a control character or a non-ASCII character"
        );
    }
}

#[test]
fn sizes_are_limited() {
    let numbered = |count: usize| {
        (0..count)
            .map(|n| (format!("x-{n}"), json!("v")))
            .collect::<Value>()
    };
    assert_eq!(headers(numbered(64)).iter().count(), 64);
    assert_eq!(refusal(numbered(65)), "more than 64 headers");

    headers(json!({"a".repeat(128): "v".repeat(8192)}));
    assert_eq!(
        refusal(json!({"a".repeat(129): "v"})),
        "header name is longer than 128 bytes"
    );
    assert_eq!(
        refusal(json!({"a": "v".repeat(8193)})),
        "value of header \"a\" is longer than 8192 bytes"
    );
}

#[test]
fn only_the_headers_that_are_added_are_not_counted() {
    let beside = |names: Vec<String>| {
        let own = (0..64).map(|n| format!("x-{n}"));
        Value::from_iter(own.chain(names).map(|name| (name, json!("v"))))
    };
    let added = |name: &&str| (*name).to_owned();
    assert_eq!(
        headers(beside(ADDED.iter().map(added).collect())).iter().count(),
        71
    );
    assert_eq!(
        refusal(beside(vec!["Hooks-Dead-Letter".to_owned()])),
        "more than 64 headers"
    );
    assert_eq!(
        refusal(beside(vec!["hooks-redriven-1".to_owned()])),
        "more than 64 headers"
    );
    for prefix in ["hooks-dead-", "Hooks-Redriven", "hooks-replay-of"] {
        for count in [65, 100_000] {
            let names = (0..count).map(|n| (format!("{prefix}{n}"), json!("v")));
            assert_eq!(refusal(names.collect()), "more than 64 headers");
        }
    }
}

#[test]
fn stored_headers_are_read_in_a_time_that_grows_with_their_number() {
    // Compared each with each, these would keep the test busy for the better part of an hour.
    let names = (0..500_000).map(|n| (format!("x-{n}"), json!("v")));
    let stored = Headers::from_stored_json(&names.collect()).unwrap();
    assert_eq!(stored.iter().count(), 500_000);
}

#[test]
fn all_headers_together_have_at_most_64_kib() {
    let filled = |last: usize| {
        let mut json = json!({});
        for n in 0..8 {
            json[format!("x-{n}")] = json!("v".repeat(if n < 7 { 8189 } else { last }));
        }
        json
    };
    headers(filled(8189));
    assert_eq!(
        refusal(filled(8190)),
        "headers are longer than 65536 bytes together"
    );
}

#[test]
fn a_value_neither_begins_nor_ends_with_a_blank() {
    for value in [" a", "a ", "\ta", "a\t", " "] {
        assert_eq!(
            refusal(json!({"X-A": value})),
            "value of header \"x-a\" begins or ends with a blank"
        );
        let stored = Headers::from_stored_json(&json!({"X-A": value})).unwrap();
        assert_eq!(stored.get("x-a"), Some(value));
    }
}

#[test]
fn headers_that_are_added_do_not_count_in_the_bytes_of_all() {
    let longest = "x".repeat(MAX_VALUE_BYTES - 4);
    let mut full = json!({});
    for n in 0..8 {
        full[format!("x-{n}")] = json!(longest);
    }
    full["y"] = json!("x".repeat(7));
    headers(full.clone());
    for added in ["Hooks-Redriven", "hooks-replay-of", "hooks-dead-error"] {
        full[added] = json!("something");
    }
    headers(full.clone());
    full["y"] = json!("x".repeat(8));
    assert_eq!(refusal(full), "headers are longer than 65536 bytes together");
}

#[test]
fn valid_headers_take_no_more_bytes_than_are_read() {
    let mut all = json!({});
    for name in (0..57).map(|n| format!("x-{n:03}")) {
        all[name] = json!("\"".repeat(1144));
    }
    for added in ADDED {
        all[added] = json!("\\".repeat(MAX_VALUE_BYTES));
    }
    headers(all.clone());
    assert!(
        all.to_string().len() + 2 * 64 < MAX_STORED_BYTES,
        "{}",
        all.to_string().len()
    );
}

#[test]
fn names_that_differ_only_by_case_are_duplicates() {
    assert_eq!(
        refusal(json!({"X-A": "1", "x-a": "1"})),
        "header \"x-a\" is given more than once"
    );
}

#[test]
fn merged_headers_win_over_the_base_and_keep_their_order() {
    let base = headers(json!({"X-A": "base", "X-B": "base", "X-C": "base"}));
    let own = headers(json!({"x-d": "own", "x-B": "own"}));
    let merged: Vec<_> = own.merged_over(&base).collect();
    assert_eq!(
        merged,
        [("x-a", "base"), ("x-c", "base"), ("x-d", "own"), ("x-b", "own")]
    );
}

#[test]
fn neither_errors_nor_debug_output_hold_values() {
    for json in [
        json!({"X-A": "hunter2\n"}),
        json!({"X-A": ["hunter2"]}),
        json!({"Host": "hunter2"}),
        json!({"Authorization: Bearer hunter2": ""}),
        json!({"X-A": "hunter2", "x-a": "hunter2"}),
        json!("hunter2"),
    ] {
        let error = Headers::from_json(&json).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    assert_eq!(
        format!("{:?}", headers(json!({"X-A": "hunter2"}))),
        "Headers{\"x-a\"}"
    );
}

proptest! {
    #[test]
    fn whatever_is_accepted_can_be_sent(name in "(X-)?\\PC{1,4}|[!-~]{1,8}", value in "\\PC{0,8}|[\t -~]{0,8}|.{0,8}") {
        let Ok(headers) = Headers::from_stored_json(&json!({&name: &value})) else { return Ok(()) };
        prop_assert!(http::HeaderName::from_bytes(name.as_bytes()).is_ok());
        prop_assert!(http::HeaderValue::from_str(&value).is_ok_and(|sent| sent.to_str().is_ok()));
        prop_assert_eq!(headers.get(&name), Some(value.as_str()));
    }
}

#[test]
fn refusal_reads_as_its_message() {
    let refused = Headers::from_json(&json!({"Host": "x"})).unwrap_err();
    assert_eq!(refused.to_string(), refused.message);
    assert!(refused.message.contains("host"), "{refused}");
}
