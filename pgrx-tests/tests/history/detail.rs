//! An attempt shows what was sent, what came back and where the time went, and no secret.

use std::time::Duration;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Site, refusal, row, run};

#[test]
fn attempt_shows_request_answer_and_times() {
    let mut site = Site::new();
    site.queue("q", r#", method => 'PUT', headers => '{"X-Queue": "a"}'"#);
    site.run(r#"select hooks.send('q', '{}', headers => '{"X-Message": "b"}')"#);
    let arrived = site.arrival("q");
    site.settle();
    let detail = row(
        &mut site.client,
        "select method, url, request_headers::text, response_headers::text, address, reused,
                connect_ms::float8, first_byte_ms::float8, duration_ms, resolve_ms::float8, tls_ms::float8
         from hooks.attempt",
    );
    assert_eq!(detail.get::<_, &str>(0), "PUT");
    let url: &str = detail.get(1);
    assert!(
        url.ends_with("/q") && url.contains(detail.get::<_, &str>(4)),
        "{url}"
    );
    let sent: serde_json::Value = serde_json::from_str(detail.get(2)).unwrap();
    let sent = sent.as_object().unwrap();
    assert_eq!(
        sent.len(),
        arrived.headers.len(),
        "{sent:?} {:?}",
        arrived.headers
    );
    for (name, value) in sent {
        assert_eq!(value.as_str(), arrived.header(name), "{name}");
    }
    assert!(detail.get::<_, &str>(3).contains("\"content-length\""));
    assert!(!detail.get::<_, bool>(5));
    let (connect, first_byte, total): (f64, f64, f64) = (detail.get(6), detail.get(7), detail.get(8));
    assert!(connect > 0.0 && first_byte > 0.0 && connect + first_byte < total);
    assert_eq!(
        (detail.get::<_, Option<f64>>(9), detail.get::<_, Option<f64>>(10)),
        (None, None)
    );
}

#[test]
fn no_secret_is_recorded() {
    let mut site = Site::new();
    let url = site.receiver.url("/q?token=s3cret&s3cret");
    site.run(&format!(
        r#"select hooks.create_queue('q', '{url}', headers => '{{"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret"}}');
           select hooks.send('q', '{{}}', headers => '{{"Cookie": "id=s3cret", "X-Hub-Signature": "s3cret"}}')"#
    ));
    site.settle();
    let all: String = site.value("select a::text from hooks.attempt as a");
    assert!(!all.contains("s3cret"), "{all}");
    assert!(
        all.contains("authorization") && all.contains("x-api-key") && all.contains("token="),
        "{all}"
    );
}

#[test]
fn reader_sees_attempts_but_not_what_requests_said() {
    let mut site = Site::new();
    let mut reader = site.connect_as_member("hooks_reader");
    run(
        &mut reader,
        "select message_id, status, error, response_headers, address, first_byte_ms from hooks.attempt",
    );
    for column in ["url", "request_headers"] {
        assert_eq!(
            refusal(&mut reader, &format!("select {column} from hooks.attempt")).code,
            "42501"
        );
    }
}

#[test]
fn time_of_a_slow_answer_is_told_from_the_time_to_connect() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::slow(Duration::from_secs(6)));
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    site.arrival("q");
    site.settle();
    let told: bool = site.value(
        "select first_byte_ms >= 6000 and connect_ms < first_byte_ms and duration_ms >= connect_ms + first_byte_ms from hooks.attempt",
    );
    assert!(told);
}
