use proptest::prelude::*;

use super::*;

#[test]
fn segments_match_as_described() {
    let cases = [
        ("order.created", "order.created", true),
        ("order.created", "order.Created", false),
        ("order.created", "order", false),
        ("order.*", "order.created", true),
        ("order.*", "order", false),
        ("order.*", "order.item.created", false),
        ("*.created", "order.created", true),
        ("*.created", "created", false),
        ("*", "order", true),
        ("*", "order.created", false),
        ("**", "order", true),
        ("**", "order.item.created", true),
        ("order.**", "order", true),
        ("order.**", "order.item.created", true),
        ("order.**", "orders.item", false),
        ("**.created", "created", true),
        ("**.created", "order.item.created", true),
        ("**.created", "order.created.late", false),
        ("a.**.z", "a.z", true),
        ("a.**.z", "a.b.c.z", true),
        ("a.**.m.**.z", "a.m.z", true),
        ("a.**.m.**.z", "a.b.m.c.m.z", true),
        ("a.**.m.**.z", "a.b.z", false),
        ("a.*.**", "a", false),
        ("a.*.**", "a.b.c", true),
        ("**.*", "a", true),
        ("**.**", "a", true),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
    }
}

#[test]
fn bad_names_are_refused_with_the_reason() {
    let long = "a".repeat(MAX_BYTES + 1);
    let deep = ["a"; MAX_SEGMENTS + 1].join(".");
    let cases = [
        ("", "event type is empty"),
        ("a..b", "event type has an empty segment"),
        (".a", "event type has an empty segment"),
        ("a.", "event type has an empty segment"),
        ("a b", "\"a b\" is not a segment of an event type"),
        ("order.*", "\"*\" is not a segment of an event type"),
        ("caf\u{e9}", "\"caf?\" is not a segment of an event type"),
        (&long, "event type is longer than 255 bytes"),
        (&deep, "event type has more than 16 segments"),
    ];
    for (name, message) in cases {
        assert_eq!(check_type(name).unwrap_err().message, message);
    }
    let pattern = check_pattern("order.cre*").unwrap_err();
    assert_eq!(pattern.message, "\"cre*\" is not a segment of an event pattern");
    assert!(check_pattern("***").is_err());
    assert_eq!(check_type("order-1.item_2"), Ok(()));
    assert_eq!(check_pattern("order.*.**.x"), Ok(()));
}

#[test]
fn keys_are_few() {
    assert_eq!(key_of_pattern("order.created"), "order.created");
    assert_eq!(key_of_pattern("order.*"), "order.*");
    assert_eq!(key_of_pattern("a.**.m.*.z"), "a.*.z");
    assert_eq!(key_of_pattern("**"), "*");
    let deepest = ["a"; MAX_SEGMENTS].join(".");
    assert_eq!(keys_of_type(&deepest).len(), 154);
}

fn segments(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(of), 1..6).prop_map(|segments| segments.join("."))
}

/// The rule itself, word for word.
fn matches_slowly(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (["**", rest @ ..], _) => {
            matches_slowly(rest, name) || (!name.is_empty() && matches_slowly(pattern, &name[1..]))
        }
        ([wanted, pattern @ ..], [segment, name @ ..]) => {
            (*wanted == "*" || wanted == segment) && matches_slowly(pattern, name)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_follows_the_rule_and_keys_miss_nothing(
        pattern in segments(&["a", "b", "*", "**"]),
        name in segments(&["a", "b"]),
    ) {
        let split = |text| str::split(text, '.').collect::<Vec<_>>();
        let expected = matches_slowly(&split(&pattern), &split(&name));
        prop_assert_eq!(matches(&pattern, &name), expected);
        if expected {
            prop_assert!(keys_of_type(&name).contains(&key_of_pattern(&pattern)));
        }
    }
}

#[test]
fn types_of_operational_events_are_not_published_by_users() {
    assert_eq!(check_published("order.created"), Ok(()));
    assert_eq!(check_published("hooksy.created"), Ok(()));
    assert_eq!(check_type("hooks.message.dead"), Ok(()));
    let reserved = check_published("hooks.message.dead").unwrap_err();
    assert_eq!(
        reserved.to_string(),
        "event types that begin with \"hooks.\" are published by pg_hooks alone"
    );
    assert_eq!(check_published("a..b"), check_type("a..b"));
    assert!(check_type("a..b").is_err());
}
