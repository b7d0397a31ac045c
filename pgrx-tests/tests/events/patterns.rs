//! Which patterns match which types, through the index that finds them.

use pg_hooks_tests::site::Site;

/// Patterns that a publish of `kind` found, of those subscribed.
fn found(site: &mut Site, kind: &str) -> Vec<String> {
    let publish = format!("select (hooks.publish('{kind}', '{{}}')).event_id");
    let event: i64 = site.value(&publish);
    let mut found: Vec<String> = site.column(&format!(
        "select s.pattern from hooks.message as m
         join hooks.subscription as s on s.headers->>'x-pattern' = m.headers->>'x-pattern'
         where m.event_id = {event}"
    ));
    found.sort();
    found
}

#[test]
fn every_matching_pattern_gets_one_message_and_no_other() {
    let mut site = Site::new();
    site.queue("all", ", active => false");
    for pattern in [
        "order.created",
        "order.*",
        "*.created",
        "*",
        "**",
        "order.**",
        "**.created",
        "order.**.created",
        "*.*",
        "*.*.*",
        "orders.*",
        "order.create",
    ] {
        site.run(&format!(
            "select hooks.subscribe('{pattern}', 'all', headers => '{{\"x-pattern\": \"{pattern}\"}}')"
        ));
    }
    let expected = [
        "**",
        "**.created",
        "*.*",
        "*.created",
        "order.*",
        "order.**",
        "order.**.created",
        "order.created",
    ];
    assert_eq!(found(&mut site, "order.created"), expected);
    assert_eq!(found(&mut site, "order"), ["*", "**", "order.**"]);
    let expected = ["**", "**.created", "*.*.*", "order.**", "order.**.created"];
    assert_eq!(found(&mut site, "order.item.created"), expected);
    assert_eq!(
        found(&mut site, "ORDER.created"),
        ["**", "**.created", "*.*", "*.created"]
    );
}

#[test]
fn bad_patterns_and_types_are_refused_with_the_reason() {
    let mut site = Site::new();
    site.queue("q", "");
    for (pattern, message) in [
        ("", "event pattern is empty"),
        ("order..created", "event pattern has an empty segment"),
        ("order.cre*", "\"cre*\" is not a segment of an event pattern"),
        (
            "order created",
            "\"order created\" is not a segment of an event pattern",
        ),
    ] {
        let refused = site.refusal(&format!("select hooks.subscribe('{pattern}', 'q')"));
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", message)
        );
        assert!(refused.hint.contains("order.created"), "{refused:?}");
    }
    for (kind, message) in [
        ("''", "event type is empty"),
        ("null", "event type must not be null"),
        ("'order.*'", "\"*\" is not a segment of an event type"),
        ("'caf\u{e9}'", "\"caf?\" is not a segment of an event type"),
    ] {
        let refused = site.refusal(&format!("select hooks.publish({kind}, '{{}}')"));
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("22023", message)
        );
    }
}
