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
fn variable_that_is_not_known_is_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    for filter in [
        "$.n > $limit",
        "$.items[*] ? (@.price > $limit)",
        "1 == 2 && $limit == 1",
        r#"$."a\\" == "\"" && $limit == 1"#,
    ] {
        let refused = site.refusal(&format!("select hooks.subscribe('a', 'q', $f${filter}$f$)"));
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", "filter uses the variable $\"limit\", which is not known"),
            "{filter}"
        );
    }
    for filter in [
        "$.a == \"$limit\" && $metadata.x == $type",
        r#"$."$" == "\"" || $."b" == "$""#,
    ] {
        site.run(&format!("select hooks.subscribe('a', 'q', $f${filter}$f$)"));
    }
}

/// As a restore or replication may bring them.
#[test]
fn filter_that_was_stored_with_an_unknown_variable_passes_nothing() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    site.run(&format!(
        "begin; set local session_replication_role = replica;
         insert into hooks.subscription (pattern, queue_id, filter, match_key) values ('a', {queue}, '$.n > $limit', 'a');
         commit;
         select hooks.subscribe('a', 'q')"
    ));
    let made: i32 = site.value(r#"select messages from hooks.publish('a', '{"n": 1}')"#);
    assert_eq!(made, 1);
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
