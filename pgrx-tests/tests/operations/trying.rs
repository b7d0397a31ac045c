//! A preview is what arrives, byte for byte.

use std::collections::BTreeMap;

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::site::{Site, row};
use postgres::Row;
use postgres::error::SqlState;
use serde_json::Value;

/// What a preview shows.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn shown(row: &Row) -> Request {
        let headers: Value = row.get("request_headers");
        let headers = headers.as_object().expect("headers are an object").iter();
        Request {
            method: row.get("request_method"),
            url: row.get("request_url"),
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().expect("a string").to_owned()))
                .collect(),
            body: row.get("request_body"),
        }
    }

    fn arrived(site: &Site, request: &Received) -> Request {
        Request {
            method: request.method.clone(),
            url: site.receiver.url(&request.target),
            headers: request.headers.iter().cloned().collect(),
            body: request.body.clone(),
        }
    }
}

fn preview(site: &mut Site, arguments: &str) -> Request {
    Request::shown(&row(
        &mut site.client,
        &format!("select * from hooks.preview({arguments})"),
    ))
}

#[test]
fn preview_of_a_waiting_message_is_what_arrives() {
    for (body, more) in [
        (r#"'{"a": "é"}'"#, ""),
        (
            "'plain text'",
            r#", headers => '{"X-Of-Message": "a, b", "content-type": "text/x"}'"#,
        ),
        ("'\\x00ff'::bytea", ""),
        ("null", ""),
        ("repeat('x', 100000)", ""),
    ] {
        for method in ["POST", "DELETE"] {
            let mut site = Site::new();
            let policy = format!(
                ", active => false, method => '{method}', headers => '{{\"X-Of-Queue\": \"q\", \"x-of-message\": \"lost\"}}'"
            );
            site.queue("q", &policy);
            let sent = format!(
                "select hooks.send('q', {}{more})",
                if body == "null" { "null::text" } else { body }
            );
            let id: i64 = site.value(&sent);
            let preview_now = preview(&mut site, &format!("message_id => {id}"));
            site.run("select hooks.resume('q')");
            let arrived = site.arrival("q");
            let told = arrived
                .header("webhook-timestamp")
                .expect("it tells the time")
                .to_owned();
            let at = format!("message_id => {id}, at => to_timestamp({told})");
            site.settle();
            let arrived = Request::arrived(&site, &arrived);
            let refused = site.refusal(&format!("select hooks.preview({at})"));
            assert_eq!(refused.code, SqlState::UNDEFINED_OBJECT.code(), "it is finished");
            let mut expected = preview_now;
            expected.headers.insert("webhook-timestamp".to_owned(), told);
            assert_eq!(expected, arrived, "{method} {body}");
        }
    }
}

#[test]
fn preview_of_a_retry_and_of_an_event_is_what_arrives() {
    let mut site = Site::new();
    site.receiver.on("/q", pg_hooks_tests::Behaviour::failing(1, 500));
    site.queue("q", ", retry_schedule => '{1 hour}'");
    site.run("select hooks.subscribe('a.b', 'q', envelope => 'standard')");
    site.run(r#"select hooks.publish('a.b', '{"x": 1}', metadata => '{"tenant": "t"}')"#);
    site.arrivals("q", 1);
    site.wait_until("select attempt = 1 from hooks.message");
    let shown = preview(&mut site, "message_id => (select id from hooks.message)");
    site.run("update hooks.message set due_at = now()");
    let arrived = site.arrivals("q", 2).remove(1);
    let mut expected = Request::arrived(&site, &arrived);
    expected.headers.insert(
        "webhook-timestamp".to_owned(),
        shown.headers["webhook-timestamp"].clone(),
    );
    assert_eq!(shown, expected);
    assert_eq!(shown.headers["webhook-attempt"], "2");
}

#[test]
fn preview_of_what_is_not_sent_yet_differs_by_its_id_alone() {
    let mut site = Site::new();
    site.queue("q", ", headers => '{\"x-a\": \"b\"}'");
    let shown = preview(
        &mut site,
        r#"'q', '{"n": 1}', '{"x-c": "d"}', at => '2026-01-02 03:04:05Z'"#,
    );
    assert_eq!(shown.headers["webhook-timestamp"], "1767323045");
    site.run(r#"select hooks.send('q', '{"n": 1}', headers => '{"x-c": "d"}')"#);
    let mut arrived = Request::arrived(&site, &site.arrival("q"));
    for name in ["webhook-id", "webhook-timestamp"] {
        arrived
            .headers
            .insert(name.to_owned(), shown.headers[name].clone());
    }
    assert_eq!(shown, arrived);
    assert!(shown.headers["webhook-id"].ends_with("_0"), "{shown:?}");
    assert_eq!(site.arrived("q"), 1, "a preview sends nothing");
}

#[test]
fn preview_does_not_show_secrets() {
    let mut site = Site::new();
    let url = site.receiver.url("/q?token=hidden&x=hidden");
    site.run(&format!(
        "select hooks.create_queue('q', '{url}',
           headers => '{{\"Authorization\": \"Bearer hidden\", \"x-api-key\": \"hidden\"}}')"
    ));
    let shown = preview(&mut site, "'q'");
    assert_eq!(
        (
            shown.headers["authorization"].as_str(),
            shown.headers["x-api-key"].as_str()
        ),
        ("***", "***")
    );
    assert_eq!(shown.url, site.receiver.url("/q?token=***&x=***"));
    assert!(!format!("{shown:?}").contains("hidden"));
}

#[test]
fn preview_shows_signatures_of_every_scheme_and_the_trace() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.set_secret('q', hooks.generate_secret());
         select hooks.alter_queue('q', signatures => '{v1,github,postmand,stripe}');
         set hooks.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'",
    );
    let shown = preview(&mut site, "'q', 'x'");
    for header in [
        "webhook-signature",
        "x-hub-signature-256",
        "x-hub-signature",
        "stripe-signature",
    ] {
        assert_ne!(shown.headers[header], "***", "{header}");
    }
    assert!(shown.headers["traceparent"].contains("0af7651916cd43dd8448eb211c80319c"));
}

#[test]
fn preview_of_nothing_or_of_what_cannot_be_sent_is_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    for arguments in [
        "",
        "body => 'x'",
        "'q', message_id => 1",
        "message_id => 1, body => 'x'",
        r#"'q', headers => '{"Host": "x"}'"#,
        r#"'q', headers => '[]'"#,
    ] {
        let refused = site.refusal(&format!("select hooks.preview({arguments})"));
        assert_eq!(
            refused.code,
            SqlState::INVALID_PARAMETER_VALUE.code(),
            "{arguments}: {refused:?}"
        );
    }
    for arguments in ["'none'", "message_id => 4711"] {
        let refused = site.refusal(&format!("select hooks.preview({arguments})"));
        assert_eq!(refused.code, SqlState::UNDEFINED_OBJECT.code(), "{arguments}");
    }
}

#[test]
fn preview_does_not_run_a_transform_and_shows_a_stored_message_instead() {
    let mut site = Site::new();
    site.run(
        r#"create function public.wrap(body jsonb, context jsonb) returns jsonb
           language sql immutable as $$ select jsonb_build_object('wrapped', body) $$"#,
    );
    site.queue("q", ", transform => 'public.wrap', active => false");
    let refused = site.refusal("select hooks.preview('q', '{}')");
    assert_eq!(refused.code, SqlState::INVALID_PARAMETER_VALUE.code());
    assert!(refused.message.contains("transform"), "{refused:?}");
    site.run(r#"begin; select hooks.send('q', '{"a": 1}')"#);
    let shown = preview(&mut site, "message_id => (select id from hooks.message)");
    site.run("rollback");
    assert_eq!(shown.body, br#"{"wrapped": {"a": 1}}"#);
}
