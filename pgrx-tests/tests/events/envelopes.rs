//! The forms in which events arrive.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::Site;
use serde_json::{Value, json};

const PUBLISH: &str =
    r#"select hooks.publish('order.created', '{"id": 7}', metadata => '{"tenant": "acme"}')"#;

fn subscribed(envelope: &str) -> Site {
    let mut site = Site::new();
    site.queue("q", ", min_backoff => '10 ms', max_backoff => '10 ms'");
    site.run(&format!(
        "select hooks.subscribe('order.*', 'q', envelope => '{envelope}')"
    ));
    site
}

fn created_at(site: &mut Site) -> String {
    site.value(
        r#"select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') from hooks.event"#,
    )
}

#[test]
fn raw_is_the_payload_with_metadata_in_headers() {
    let mut site = subscribed("raw");
    site.run(PUBLISH);
    let arrived = site.arrival("q");
    assert_eq!(arrived.text(), r#"{"id": 7}"#);
    assert_eq!(arrived.header("Hooks-Meta-tenant"), Some("acme"));
}

#[test]
fn standard_webhooks_envelope_holds_type_timestamp_and_data() {
    let mut site = subscribed("standard");
    site.run(PUBLISH);
    let arrived = site.arrival("q");
    let body: Value = serde_json::from_str(arrived.text()).unwrap();
    let expected = json!({
        "type": "order.created", "timestamp": created_at(&mut site), "metadata": {"tenant": "acme"}, "data": {"id": 7},
    });
    assert_eq!(body, expected);
    assert_eq!(arrived.header("content-type"), Some("application/json"));
    assert_eq!(arrived.header("hooks-meta-tenant"), None);
}

#[test]
fn structured_cloudevent_names_the_event() {
    let mut site = subscribed("cloudevents");
    site.run(PUBLISH);
    let arrived = site.arrival("q");
    let key: String = site.value("select webhook_key from hooks.installation");
    let body: Value = serde_json::from_str(arrived.text()).unwrap();
    let expected = json!({
        "specversion": "1.0", "id": format!("evt_{key}_1"), "source": format!("/pg_hooks/{key}"),
        "type": "order.created", "time": created_at(&mut site), "tenant": "acme",
        "datacontenttype": "application/json", "data": {"id": 7},
    });
    assert_eq!(body, expected);
    let kind = arrived.header("content-type").unwrap();
    assert!(kind.starts_with("application/cloudevents+json"), "{kind}");
}

#[test]
fn binary_cloudevent_has_its_attributes_in_headers() {
    let mut site = subscribed("cloudevents-binary");
    site.run(PUBLISH);
    let arrived = site.arrival("q");
    let key: String = site.value("select webhook_key from hooks.installation");
    assert_eq!(arrived.text(), r#"{"id": 7}"#);
    assert_eq!(arrived.header("ce-id"), Some(format!("evt_{key}_1").as_str()));
    assert_eq!(arrived.header("ce-type"), Some("order.created"));
    assert_eq!(arrived.header("ce-specversion"), Some("1.0"));
    assert_eq!(arrived.header("ce-tenant"), Some("acme"));
    assert_eq!(arrived.header("content-type"), Some("application/json"));
}

#[test]
fn every_attempt_sends_the_same_bytes() {
    for envelope in ["raw", "standard", "cloudevents", "cloudevents-binary"] {
        let mut site = subscribed(envelope);
        site.receiver.on("/q", Behaviour::failing(2, 503));
        site.run(PUBLISH);
        let arrived = site.arrivals("q", 3);
        let fixed = |n: usize| {
            let changing = ["webhook-timestamp", "webhook-attempt"];
            let headers = arrived[n].headers.iter();
            let headers: Vec<_> = headers
                .filter(|(name, _)| !changing.contains(&name.as_str()))
                .collect();
            (headers, arrived[n].body.clone())
        };
        assert_eq!(fixed(0), fixed(1), "{envelope}");
        assert_eq!(fixed(0), fixed(2), "{envelope}");
    }
}

#[test]
fn redriven_dead_letter_and_its_copy_keep_the_envelope() {
    let mut site = Site::new();
    site.queue("graves", "");
    site.queue("q", ", max_attempts => 1, dead_letter_queue => 'graves'");
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.run("select hooks.subscribe('order.*', 'q', envelope => 'standard')");
    site.run(PUBLISH);
    site.wait_until(
        "select exists (select from hooks.dead_letter where body is null and envelope = 'standard')",
    );
    site.run("select hooks.redrive(id) from hooks.dead_letter");
    let arrived = site.arrivals("q", 2);
    assert_eq!(arrived[0].text(), arrived[1].text());
    assert_eq!(site.arrival("graves").text(), arrived[0].text());
}

#[test]
fn unknown_envelope_is_refused() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    let refused = site.refusal("select hooks.subscribe('a', 'q', envelope => 'xml')");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("22023", "envelope \"xml\" is not known")
    );
    for columns in [
        "envelope) values ('standard'",
        "envelope, event_id) values ('xml', 1",
    ] {
        let insert = columns.replace("values (", &format!("values ({queue}, "));
        let refused = site.refusal(&format!("insert into hooks.message (queue_id, {insert})"));
        assert_eq!(refused.code, "22023");
    }
}
