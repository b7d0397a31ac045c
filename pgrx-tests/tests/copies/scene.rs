//! A server with a receiver, a database that has something of everything, and the words of these tests.

use std::time::Duration;

use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};
use postgres::Client;

/// For whatever is sure to come.
pub const SOON: Duration = Duration::from_secs(30);

/// How long nothing is to happen.
pub const A_WHILE: Duration = Duration::from_millis(1500);

/// A database that has a queue "q" and its schedule, subscription and secret, and whose worker stays away: what is
/// sent waits.
pub fn original(cluster: &Cluster, receiver: &Receiver, name: &str) -> Client {
    cluster.create_database(name);
    let mut client = cluster.connect(name);
    let url = receiver.url("/q");
    run(
        &mut client,
        &format!(
            "create extension pg_hooks;
             select hooks.create_queue('q', '{url}', max_attempts => 3, description => 'kept');
             select hooks.create_queue('signed', '{url}-signed');
             select hooks.rotate_secret('signed');
             select hooks.alter_queue('signed', signatures => '{{v1}}');
             select hooks.subscribe('order.*', 'q');
             select hooks.schedule('nightly', 'q', '0 3 29 2 *', 'tick', 'Europe/Berlin')"
        ),
    );
    run(&mut client, "select hooks.release('10 minutes')");
    client
}

/// Stores a message, one of an event that is old, and a dead letter.
pub fn send_some(client: &mut Client) {
    run(
        client,
        "select hooks.send('q', 'waits');
         select hooks.publish('order.made', '{\"n\": 1}');
         update hooks.event set created_at = now() - interval '30 days';
         insert into hooks.dead_letter (id, queue_id, attempts, created_at, due_at, dead_at, body)
         select nextval('hooks.message_id_seq'), q.id, 1, now(), now(), now(), 'dead'
         from hooks.queue as q where q.name = 'q'",
    );
}

/// What the one worker there is says of itself, when it says this.
#[track_caller]
pub fn wait_for_state(client: &mut Client, state: &str) {
    wait_until(format_args!("a worker that is {state}"), SOON, || {
        let rows = client
            .query("select w.state from hooks.worker as w", &[])
            .unwrap();
        let states: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if states == [state] {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    });
}

/// Asserts that nothing arrives for a while.
#[track_caller]
pub fn assert_silent(receiver: &Receiver) {
    let before = receiver.count();
    never_within("something was sent", A_WHILE, || receiver.count() > before);
}

/// What the check "copy" of `hooks.health()` says: status and detail.
pub fn copy_check(client: &mut Client) -> String {
    value(
        client,
        "select concat_ws(': ', status, detail) from hooks.health() where check_name = 'copy'",
    )
}

/// A server that is another one than all others, and looks around often.
pub fn server() -> Cluster {
    Cluster::builder()
        .with_own_identity()
        .setting("hooks.rescan_interval", "500ms")
        .setting("wal_level", "logical")
        .start()
}
