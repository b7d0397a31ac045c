//! Filters: jsonpath on the payload.

use pg_hooks_tests::site::Site;

#[test]
fn filter_passes_what_its_path_finds() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    for (filter, payload, passes) in [
        ("$.amount > 100", r#"{"amount": 101}"#, true),
        ("$.amount > 100", r#"{"amount": 100}"#, false),
        ("$.amount > 100", r#"{}"#, false),
        ("$ ? (@.amount > 100)", r#"{"amount": 101}"#, true),
        ("$ ? (@.amount > 100)", r#"{"amount": 1}"#, false),
        (
            "$.items[*] ? (@.price > 10)",
            r#"{"items": [{"price": 1}, {"price": 11}]}"#,
            true,
        ),
        ("$.active", r#"{"active": true}"#, true),
        ("$.active", r#"{"active": false}"#, false),
        ("$.active", r#"{"active": null}"#, false),
        ("$.name like_regex \"^A\"", r#"{"name": "Ada"}"#, true),
        ("strict $.missing", r#"{}"#, false),
        ("$type == \"order.created\"", r#"{}"#, true),
        ("$metadata.tenant == \"acme\"", r#"{}"#, true),
        ("$metadata.tenant == \"other\"", r#"{}"#, false),
    ] {
        site.run("delete from hooks.subscription");
        site.client
            .execute("select hooks.subscribe('order.*', 'q', $1)", &[&filter])
            .unwrap();
        let made = site.client.query_one(
            "select messages from hooks.publish('order.created', $1::text::jsonb, metadata => '{\"tenant\": \"acme\"}')",
            &[&payload],
        );
        assert_eq!(
            made.unwrap().get::<_, i32>(0),
            i32::from(passes),
            "{filter} on {payload}"
        );
    }
}

#[test]
fn bad_filter_is_refused() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    for statement in [
        "select hooks.subscribe('a', 'q', '$.a >')".to_owned(),
        format!("insert into hooks.subscription (pattern, queue_id, filter) values ('a', {queue}, '$.a >')"),
    ] {
        let refused = site.refusal(&statement);
        assert_eq!(refused.code, "22023");
        assert!(
            refused.message.starts_with("filter is not a jsonpath: "),
            "{refused:?}"
        );
        assert!(!refused.hint.is_empty());
    }
}
