//! `pg_upgrade`: from one server to the next, with all that a database has of pg_hooks.
//!
//! PostgreSQL lets it also go to a server of the same version, which is what there is.

use std::time::Duration;

use pg_hooks_tests::cluster::StopMode;
use pg_hooks_tests::site::{row, run, value};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};
use postgres::Client;

use crate::catalog::{assert_same, catalog};

pub const SOON: Duration = Duration::from_secs(30);

/// A server of its own identity that logs which processes it starts.
fn server() -> Cluster {
    Cluster::builder()
        .with_own_identity()
        .setting("hooks.rescan_interval", "500ms")
        .setting("log_min_messages", "debug1")
        .start()
}

/// Queues of each kind, and who and what sends to them.
pub fn define(client: &mut Client, receiver: &Receiver) {
    let url = |name: &str| receiver.url(name);
    let script = format!(
        "select hooks.create_queue('q', '{}', description => 'kept', keep_bodies => true);
         select hooks.create_queue('dies', '{}', max_attempts => 1);
         select hooks.create_queue('signed', '{}');
         select hooks.rotate_secret('signed');
         select hooks.alter_queue('signed', signatures => '{{v1}}');
         do $$ begin create role shopkeeper login; exception when duplicate_object then null; end $$;
         select hooks.grant_send('q', 'shopkeeper');
         create function public.changed(payload jsonb, context jsonb) returns jsonb language sql immutable as 'select payload';
         create table goods (id bigint primary key, name text);
         select hooks.watch('goods', 'q', ordering_key => '{{id}}');
         select hooks.subscribe('order.*', 'q', filter => '$.n > 0', transform => 'public.changed');
         select hooks.schedule('nightly', 'q', '0 0 29 2 *', 'tick', 'Europe/Berlin')",
        url("/q"),
        url("/dies"),
        url("/signed")
    );
    run(client, &script);
}

/// The database "shop": what is defined, what was delivered and what died, and what waits.
fn furnish(cluster: &Cluster, receiver: &Receiver) -> Client {
    cluster.create_database("shop");
    let mut client = cluster.connect("shop");
    run(&mut client, "create extension pg_hooks");
    receiver.on("/dies", Behaviour::status(500));
    define(&mut client, receiver);
    run(
        &mut client,
        "select hooks.send('q', 'delivered'), hooks.send('dies', 'dead'), hooks.send('signed', '{}');
         select hooks.publish('order.made', '{\"n\": 1}', idempotency_key => 'once');
         insert into goods values (1, 'hammer')",
    );
    for (path, count) in [("/q", 3), ("/signed", 1), ("/dies", 1)] {
        receiver.wait_for(path, count, SOON);
    }
    // The counts of what was delivered are folded by the leader a while later.
    wait_until("nothing to be under way", SOON, || {
        value::<bool>(
            &mut client,
            "select not exists (select from hooks.message) and (select count(*) = 4 from hooks.message_log)",
        )
    });
    run(
        &mut client,
        "select hooks.pause('q');
         select hooks.send('q', 'first', ordering_key => 'k'), hooks.send('q', 'second', ordering_key => 'k');
         select hooks.send('q', repeat('large ', 100000));
         select hooks.send('q', '\\x00ff'::bytea);
         select hooks.send('q', 'later', at => '2100-01-01')",
    );
    client
}

/// Every row of every table and the state of every sequence, but what a running server changes by itself.
fn contents(client: &mut Client) -> Vec<(String, i64, String)> {
    let relations = client
        .query(
            "select c.oid::regclass::text, c.relkind = 'S' from pg_class as c
             where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'S') order by 1",
            &[],
        )
        .unwrap();
    let mut contents = Vec::new();
    for relation in &relations {
        let name: String = relation.get(0);
        let row_text = if relation.get(1) {
            "(t.last_value, t.is_called)::text"
        } else {
            "t::text"
        };
        let rows = row(
            client,
            &format!(
                "select count(*), coalesce(md5(string_agg({row_text}, E'\\n' order by {row_text})), '') from {name} as t"
            ),
        );
        contents.push((name, rows.get(0), rows.get(1)));
    }
    contents
}

fn started_workers(log: &str) -> usize {
    log.matches("starting background worker process \"pg_hooks")
        .count()
}

#[test]
fn upgraded_server_has_everything_and_sends_nothing_until_it_is_adopted() {
    let (old, new) = (server(), server());
    let receiver = Receiver::start();
    let mut client = furnish(&old, &receiver);
    let defined = catalog(&mut client);
    drop(client);
    // So that no worker changes anything any more.
    old.configure("shared_preload_libraries", "");
    old.restart();
    let mut client = old.connect("shop");
    let before = contents(&mut client);
    let key: String = value(&mut client, "select webhook_key from hooks.installation");
    let next: i64 = value(
        &mut client,
        "select max(id) + 1 from hooks.message where id is not null",
    );
    drop(client);
    let arrived = receiver.count();

    // With the library loaded in both, as their settings say outside of a test.
    old.stop(StopMode::Fast);
    old.configure("shared_preload_libraries", "pg_hooks");
    new.stop(StopMode::Fast);
    let log = old.upgrade_to(&new).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        log.contains("database system is ready to accept connections"),
        "{log}"
    );
    assert_eq!(started_workers(&log), 0, "while it ran");
    assert_eq!(receiver.count(), arrived, "while it ran");

    // First as a server of which no worker can change anything.
    new.configure("shared_preload_libraries", "");
    new.start().unwrap();
    let mut client = new.connect("shop");
    assert_eq!(contents(&mut client), before);
    assert_same(&catalog(&mut client), &defined);
    drop(client);
    new.stop(StopMode::Fast);
    new.configure("shared_preload_libraries", "pg_hooks");
    let before = started_workers(&new.log());
    new.start().unwrap();
    // It is told at this level of the log.
    wait_until("a worker outside of the upgrade", SOON, || {
        started_workers(&new.log()) > before
    });

    let mut client = new.connect("shop");
    wait_until("a worker that is held", SOON, || {
        value::<bool>(
            &mut client,
            "select exists (select from hooks.worker as w where w.state = 'held: copied')",
        )
    });
    run(&mut client, "select hooks.resume('q')");
    let sent: i64 = value(&mut client, "select hooks.send('q', 'sent meanwhile')");
    assert_eq!(sent, next, "ids go on");
    never_within("something was sent", Duration::from_millis(1500), || {
        receiver.count() > arrived
    });
    assert_eq!(
        value::<String>(
            &mut client,
            "select status from hooks.health() where check_name = 'copy'"
        ),
        "fail"
    );
    let adopted = row(
        &mut client,
        "select was, queues, to_send, cancelled from hooks.adopt()",
    );
    assert_eq!(adopted.get::<_, String>(0), "copied");
    assert_eq!(
        [adopted.get::<_, i64>(1), adopted.get(2), adopted.get(3)],
        [3, 6, 0]
    );

    receiver.on("/dies", Behaviour::status(200));
    run(
        &mut client,
        "select hooks.redrive(queue => 'dies');
         insert into goods values (2, 'nails');
         select hooks.send('signed', '{}');
         select hooks.publish('order.made', '{\"n\": 1}', idempotency_key => 'once');
         select hooks.publish('order.made', '{\"n\": 2}')",
    );
    let requests = receiver.wait_for("/q", 3 + 7, SOON);
    let texts: Vec<String> = requests[3..]
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).chars().take(14).collect())
        .collect();
    let place = |text: &str| {
        texts
            .iter()
            .position(|arrived| arrived.starts_with(text))
            .unwrap_or_else(|| panic!("no {text} in {texts:?}"))
    };
    assert!(place("first") < place("second"), "{texts:?}");
    for text in ["large ", "\0", "sent meanwhile", "{\"n\": 2}"] {
        place(text);
    }
    for request in &requests[3..] {
        assert!(
            request.webhook_id().unwrap().contains(&key),
            "under the ids of before"
        );
    }
    let signed = receiver.wait_for("/signed", 2, SOON);
    assert!(
        signed[1].header("webhook-signature").is_some(),
        "the secret was kept"
    );
    receiver.wait_for("/dies", 2, SOON);
    wait_until("all to be delivered", SOON, || {
        value::<bool>(
            &mut client,
            "select (select count(*) = 1 from hooks.message) and not exists (select from hooks.dead_letter)
                and (select count(*) = 4 + 9 from hooks.message_log where state = 'delivered')",
        )
    });
    let mut keeper = new.connect_as("shopkeeper", "shop");
    run(&mut keeper, "select hooks.send('q', 'of the keeper')");
    receiver.wait_for("/q", 3 + 8, SOON);
    assert_eq!(
        value::<String>(
            &mut client,
            "select coalesce(string_agg(check_name || ': ' || detail, ', '), 'well') from hooks.health() where status = 'fail'"
        ),
        "well"
    );
}
