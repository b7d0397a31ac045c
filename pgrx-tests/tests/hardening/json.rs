//! JSON as PostgreSQL holds it, which is more than most parsers take.

use crate::site::{INVALID, Site};

#[test]
fn headers_that_no_parser_takes_are_refused_with_a_hint() {
    let mut site = Site::new();
    site.queue("q", "");
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(200), "]".repeat(200));
    for headers in [
        r#"{"a": 1e400}"#,
        r#"{"a": [-1e400]}"#,
        deep.as_str(),
        "[]",
        "\"x\"",
        "1e400",
    ] {
        for call in [
            format!("select hooks.send('q', 'x', headers => '{headers}')"),
            format!("select hooks.send('q', 'x'::bytea, headers => '{headers}')"),
            format!("select hooks.send_batch('q', array['x'], headers => '{headers}')"),
            format!("insert into hooks.message (queue_id, headers) select id, '{headers}' from hooks.queue"),
            format!("select hooks.create_queue('n', 'https://example.com/', headers => '{headers}')"),
            format!("select hooks.alter_queue('q', headers => '{headers}')"),
        ] {
            let refused = site.refusal(&call);
            assert_eq!(refused.code, INVALID, "{call}: {refused:?}");
            assert_eq!(refused.detail, None, "{call}");
            assert!(refused.hint.is_some(), "{call}");
        }
    }
}

#[test]
fn json_is_sent_as_it_was_written() {
    let mut site = Site::new();
    site.queue("q", ", max_in_flight => 1");
    let text = "{\"b\" :1,  \"a\": 1e400, \"a\":\t[ 2.50 ] }";
    site.run(&format!("select hooks.send('q', '{text}'::json)"));
    site.run(&format!(
        "select hooks.send_batch('q', array['{text}', ' 1 ']::json[])"
    ));
    site.run(r#"select hooks.send('q', '{"b":1,  "a":2}'::jsonb)"#);
    let texts: Vec<String> = site
        .arrivals("q", 4)
        .iter()
        .map(|r| r.text().to_owned())
        .collect();
    assert_eq!(texts, [text, text, " 1 ", "{\"a\": 2, \"b\": 1}"]);
}

#[test]
fn body_without_a_type_is_text() {
    let mut site = Site::new();
    site.queue("q", ", max_in_flight => 1");
    site.run(
        "select hooks.send('q', 'not json');
         select hooks.send('q', '\\x41', now());
         select hooks.send(queue => 'q', body => 'named', headers => '{\"x-a\": \"b\"}')",
    );
    site.client
        .execute("select hooks.send($1, $2)", &[&"q", &"a parameter"])
        .unwrap();
    let texts: Vec<String> = site
        .arrivals("q", 4)
        .iter()
        .map(|r| r.text().to_owned())
        .collect();
    assert_eq!(texts, ["not json", "\\x41", "named", "a parameter"]);
}
