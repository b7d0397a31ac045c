//! Sending many messages at once.

use postgres::Client;

use crate::database::{column, run, value};
use crate::policies::database_with_queue;

/// The bodies in the order of the ids that a batch gave.
#[track_caller]
fn sent(client: &mut Client, bodies: &str) -> Vec<Option<String>> {
    run(client, "truncate hooks.message");
    let send = format!("select hooks.send_batch('good', {bodies}, at => '2100-01-01')");
    let ids: Vec<i64> = column(client, &send);
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let stored = "select coalesce(m.body, encode(m.body_bytes, 'escape'))
                  from unnest($1::bigint[]) with ordinality as i(id, place)
                  join hooks.message as m on m.id = i.id
                  order by i.place";
    client
        .query(stored, &[&ids])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn ids_come_in_the_order_of_the_bodies() {
    let database = database_with_queue();
    let mut client = database.connect();
    let expected: Vec<_> = (1..=1000).rev().map(|n| Some(n.to_string())).collect();
    let numbers = "(select array_agg(n::text order by n desc) from generate_series(1, 1000) as n)";
    for kind in ["text[]", "jsonb[]", "bytea[]"] {
        assert_eq!(
            sent(&mut client, &format!("{numbers}::{kind}")),
            expected,
            "{kind}"
        );
    }
}

#[test]
fn each_overload_stores_what_its_type_holds() {
    let database = database_with_queue();
    let mut client = database.connect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        sent(&mut client, "array['{\"b\":  1}', null, '']"),
        [text("{\"b\":  1}"), None, text("")]
    );
    assert_eq!(
        sent(&mut client, "array['{\"b\":  1}', null]::jsonb[]"),
        [text("{\"b\": 1}"), None]
    );
    assert_eq!(
        sent(&mut client, "array['a\\000b', null]::bytea[]"),
        [text("a\\000b"), None]
    );
}

#[test]
fn batch_is_stored_whole_also_when_only_some_ids_are_asked_for() {
    let database = database_with_queue();
    let mut client = database.connect();
    for kind in ["text[]", "jsonb[]", "bytea[]"] {
        run(&mut client, "truncate hooks.message");
        run(
            &mut client,
            &format!(
                "select hooks.send_batch('good', array['1', '2', '3']::{kind}, at => '2100-01-01') limit 1"
            ),
        );
        let count: i64 = value(&mut client, "select count(*) from hooks.message");
        assert_eq!(count, 3, "{kind}");
    }
}

#[test]
fn empty_batch_stores_nothing() {
    let database = database_with_queue();
    let mut client = database.connect();
    for bodies in [
        "array[]::text[]",
        "array[]::jsonb[]",
        "null::bytea[]",
        "null::text[]",
    ] {
        assert_eq!(
            sent(&mut client, bodies),
            Vec::<Option<String>>::new(),
            "{bodies}"
        );
    }
}

#[test]
fn headers_go_with_every_message_of_a_batch() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        r#"select hooks.send_batch('good', array['a', 'b'], at => '2100-01-01', headers => '{"X-A": "b"}')"#,
    );
    let headers: Vec<serde_json::Value> = column(&mut client, "select headers from hooks.message");
    assert_eq!(headers, vec![serde_json::json!({"X-A": "b"}); 2]);
}
