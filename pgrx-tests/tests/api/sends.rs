//! Sending single messages.

use pg_hooks_tests::Receiver;

use crate::database::{Database, SOON, column, run, value};
use crate::policies::database_with_queue;

/// A database whose queue "good" sends to `/` of the receiver.
fn delivering_to(receiver: &Receiver) -> Database {
    let database = Database::new();
    run(
        &mut database.connect(),
        &format!("select hooks.create_queue('good', '{}')", receiver.url("/")),
    );
    database
}

#[test]
fn untyped_literal_is_sent_as_the_text_it_is() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', '{\"b\":  1, \"a\": 1}', at => '2100-01-01')",
    );
    let body: String = value(&mut client, "select body from hooks.message");
    assert_eq!(body, "{\"b\":  1, \"a\": 1}");
}

#[test]
fn each_overload_sends_what_its_type_holds() {
    let receiver = Receiver::start();
    let database = delivering_to(&receiver);
    let mut client = database.connect();
    let mut send = |body: &str| -> i64 { value(&mut client, &format!("select hooks.send('good', {body})")) };
    let cases = [
        (send("'plain ö'::text"), "plain ö".as_bytes()),
        (send("'{\"b\":  1, \"a\": 1}'::jsonb"), b"{\"a\": 1, \"b\": 1}"),
        (send("'\\x00ff0d0a'::bytea"), b"\x00\xff\r\n"),
        (send("null"), b""),
        (send("''"), b""),
    ];
    let requests = receiver.wait_for("/", cases.len(), SOON);
    for (id, body) in cases {
        let request = requests.iter().find(|request| request.message_id() == Some(id));
        assert_eq!(request.map(|request| request.body.as_slice()), Some(body));
    }
}

#[test]
fn arguments_can_be_named_in_any_order() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        r#"select hooks.send(headers => '{"X-A": "b"}', at => '2100-01-01', body => 'x', queue => 'good')"#,
    );
    assert!(value::<bool>(
        &mut client,
        r#"select body = 'x' and due_at = '2100-01-01' and headers = '{"X-A": "b"}' from hooks.message"#
    ));
}

#[test]
fn bound_parameters_choose_the_overload_by_their_type() {
    let database = database_with_queue();
    let mut client = database.connect();
    let send = "select hooks.send('good', $1, '2100-01-01')";
    client.execute(send, &[&"text"]).unwrap();
    client
        .execute(&send.replace("$1", "$1::jsonb"), &[&serde_json::json!({"a": 1})])
        .unwrap();
    client
        .execute(&send.replace("$1", "$1::bytea"), &[&b"bytes".as_slice()])
        .unwrap();
    let bodies: Vec<String> = column(
        &mut client,
        "select coalesce(body, encode(body_bytes, 'escape')) from hooks.message order by id",
    );
    assert_eq!(bodies, ["text", "{\"a\": 1}", "bytes"]);
}

#[test]
fn ids_increase() {
    let database = database_with_queue();
    let mut client = database.connect();
    let ids: Vec<i64> = column(
        &mut client,
        "select hooks.send('good', n::text, at => '2100-01-01') from generate_series(1, 100) as n",
    );
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let stored: Vec<i64> = column(&mut client, "select id from hooks.message order by body::integer");
    assert_eq!(stored, ids);
}

#[test]
fn plain_insert_of_queue_and_body_sends() {
    let receiver = Receiver::start();
    let database = delivering_to(&receiver);
    let mut client = database.connect();
    let id: i64 = value(
        &mut client,
        "insert into hooks.message (queue_id, body) select id, 'inserted' from hooks.queue returning id",
    );
    let request = &receiver.wait_for("/", 1, SOON)[0];
    assert_eq!((request.message_id(), request.text()), (Some(id), "inserted"));
}

#[test]
fn plain_copy_sends() {
    let receiver = Receiver::start();
    let database = delivering_to(&receiver);
    let mut client = database.connect();
    let queue_id: i64 = value(&mut client, "select id from hooks.queue");
    let mut copy = client
        .copy_in("copy hooks.message (queue_id, body) from stdin")
        .unwrap();
    let rows = format!("{queue_id}\tone\n{queue_id}\ttwo\n");
    std::io::Write::write_all(&mut copy, rows.as_bytes()).unwrap();
    copy.finish().unwrap();
    let mut bodies: Vec<String> = receiver
        .wait_for("/", 2, SOON)
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    bodies.sort();
    assert_eq!(bodies, ["one", "two"]);
}
