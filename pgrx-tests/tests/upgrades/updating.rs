//! An update: what an older version was used for is there after it, is served, and all is as in a new installation.

use std::time::Duration;

use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;

use crate::catalog::{assert_same, catalog};
use crate::servers::{SOON, define};

/// What is stored while the worker serves no extension of this version.
const USE: &str = "
    select hooks.send('q', 'first', ordering_key => 'k'), hooks.send('q', 'second', ordering_key => 'k');
    select hooks.send('q', repeat('large ', 100000)), hooks.send('signed', '{}');
    select hooks.send('q', 'later', at => '2100-01-01');
    select hooks.cancel(hooks.send('q', 'cancelled'));
    select hooks.publish('order.made', '{\"n\": 1}', idempotency_key => 'once');
    insert into goods values (1, 'hammer');
    insert into hooks.dead_letter (id, queue_id, attempts, created_at, due_at, dead_at, body)
    select nextval('hooks.message_id_seq'), q.id, 1, now(), now(), now(), 'dead' from hooks.queue as q where q.name = 'q'";
/// How many of those arrive at "q".
const TO_ARRIVE: usize = 5;

const KEPT: &str = "
    select concat_ws(', ',
      (select string_agg(body, ' ') from hooks.message where due_at > now()),
      (select string_agg(body, ' ') from hooks.dead_letter),
      (select count(*) || ' cancelled' from hooks.message_log where state = 'cancelled'),
      (select schedule || ' ' || timezone || ' ' || next_run_at from hooks.cron),
      (select description from hooks.queue where name = 'q'))";

#[track_caller]
pub fn wait_for_state(client: &mut Client, state: &str) {
    let query = format!("select exists (select from hooks.worker as w where w.state = '{state}')");
    wait_until(format_args!("a worker that is {state}"), SOON, || {
        value::<bool>(client, &query)
    });
}

/// Uses the extension in this version, updates it, and goes on using it.
pub fn update_from(cluster: &Cluster, version: &str) {
    let receiver = Receiver::start();
    let database = format!("from_{version}");
    cluster.create_database(&database);
    let mut client = cluster.connect(&database);
    run(
        &mut client,
        &format!("create extension pg_hooks version '{version}'"),
    );
    define(&mut client, &receiver);
    run(&mut client, USE);
    let key: String = value(&mut client, "select webhook_key from hooks.installation");
    let kept: String = value(&mut client, KEPT);
    wait_for_state(&mut client, "held: version");
    never_within("something was sent", Duration::from_secs(1), || {
        receiver.count() > 0
    });
    let hint: String = value(
        &mut client,
        "select hint from hooks.health() where check_name = 'copy'",
    );
    assert!(hint.contains("ALTER EXTENSION pg_hooks UPDATE"), "{hint}");

    run(&mut client, "alter extension pg_hooks update");
    wait_for_state(&mut client, "leading");
    assert_served(&receiver, &mut client, &key);
    assert_eq!(value::<String>(&mut client, KEPT), kept);
    assert_goes_on(&receiver, &mut client, cluster, &database);
    let fresh = catalog(&mut cluster.connect(&cluster.create_hooks_database()));
    assert_same(&catalog(&mut client), &fresh);
}

/// Asserts that what waited arrives as it would have arrived before.
fn assert_served(receiver: &Receiver, client: &mut Client, key: &str) {
    let requests = receiver.wait_for("/q", TO_ARRIVE, SOON);
    let place = |text: &str| {
        let place = requests
            .iter()
            .position(|request| request.text().starts_with(text));
        place.unwrap_or_else(|| panic!("no {text}"))
    };
    assert!(place("first") < place("second"));
    for text in ["large ", "{\"n\": 1}"] {
        place(text);
    }
    let signed = receiver.wait_for("/signed", 1, SOON);
    assert!(
        signed[0].header("webhook-signature").is_some(),
        "the secret was kept"
    );
    for request in requests.iter().chain(&signed) {
        assert!(request.webhook_id().unwrap().contains(key), "another key");
    }
    wait_until("all that waited to be recorded", SOON, || {
        value::<bool>(client, "select count(*) = 1 from hooks.message")
    });
    assert_eq!(receiver.count(), TO_ARRIVE + 1, "each once");
}

/// Asserts that each part works on: rights, dead letters, watches, subscriptions with their idempotency keys.
fn assert_goes_on(receiver: &Receiver, client: &mut Client, cluster: &Cluster, database: &str) {
    run(
        client,
        "select hooks.redrive(queue => 'q');
         insert into goods values (2, 'nails');
         select hooks.publish('order.made', '{\"n\": 1}', idempotency_key => 'once');
         select hooks.publish('order.made', '{\"n\": 2}')",
    );
    let mut keeper = cluster.connect_as("shopkeeper", database);
    run(&mut keeper, "select hooks.send('q', 'of the keeper')");
    let requests = receiver.wait_for("/q", TO_ARRIVE + 4, SOON);
    for text in ["dead", "{\"n\": 2}", "of the keeper"] {
        let arrived = requests.iter().filter(|request| request.text() == text);
        assert_eq!(arrived.count(), 1, "{text}");
    }
    assert_eq!(
        value::<String>(
            client,
            "select coalesce(string_agg(check_name || ': ' || detail, ', '), 'well')
             from hooks.health() where status = 'fail'"
        ),
        "well"
    );
}
