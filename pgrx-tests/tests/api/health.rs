//! What people and monitors are told about the worker.

use std::sync::{Arc, Mutex};

use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};
use postgres::error::DbError;
use postgres::{Client, NoTls};

use crate::database::{Database, SOON, run, value};

/// Every check with its status, detail and hint.
fn health(client: &mut Client) -> Vec<(String, String, String, Option<String>)> {
    let rows = client.query("select check_name, status, detail, hint from hooks.health()", &[]);
    let rows = rows.expect("could not ask for the health");
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

fn statuses(client: &mut Client) -> Vec<(String, String)> {
    health(client)
        .into_iter()
        .map(|(check, status, _, _)| (check, status))
        .collect()
}

#[test]
fn database_with_a_worker_is_healthy() {
    let database = Database::new();
    let mut client = database.connect();
    wait_until("a healthy database", SOON, || {
        let mut seen = statuses(&mut client);
        seen.retain(|(_, status)| status != "ok");
        if seen.is_empty() {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    for (check, _, detail, hint) in health(&mut client) {
        assert!(!detail.is_empty(), "{check}");
        assert_eq!(hint, None, "{check}");
    }
}

/// Connects and collects the notices of the server.
fn connect_listening(cluster: &Cluster) -> (Client, Arc<Mutex<Vec<DbError>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    let client = cluster
        .connection("postgres", "postgres")
        .notice_callback(move |notice| heard.lock().expect("poisoned").push(notice))
        .connect(NoTls)
        .expect("could not connect");
    (client, notices)
}

#[test]
fn server_without_preload_stores_says_so_and_delivers_after_the_restart() {
    let receiver = Receiver::start();
    let cluster = Cluster::builder().without_preload().start();
    let (mut client, notices) = connect_listening(&cluster);
    run(&mut client, "create extension pg_hooks");
    let notices = std::mem::take(&mut *notices.lock().expect("poisoned"));
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(notices[0].severity(), "WARNING");
    assert_eq!(
        notices[0].message(),
        "pg_hooks is not in shared_preload_libraries: messages are stored, but nothing is sent"
    );
    let what_to_do = Some("Add pg_hooks to shared_preload_libraries and restart the server.");
    assert_eq!(notices[0].hint(), what_to_do);

    run(
        &mut client,
        &format!(
            "select hooks.create_queue('orders', '{}');
             select hooks.send('orders', 'stored')",
            receiver.url("/orders")
        ),
    );
    let state: String = value(
        &mut client,
        "select state from hooks.message as m, hooks.status(m.id)",
    );
    assert_eq!(state, "pending");
    let checks = health(&mut client);
    let (check, status, detail, hint) = &checks[0];
    assert_eq!((check.as_str(), status.as_str()), ("preloaded", "fail"));
    assert!(detail.contains("nothing is sent"), "{detail}");
    assert_eq!(hint.as_deref(), what_to_do);
    let well = statuses(&mut client)
        .into_iter()
        .filter(|(_, status)| status == "ok");
    let well: Vec<String> = well.map(|(check, _)| check).collect();
    assert!(
        !well.contains(&"worker".to_owned()) && well.contains(&"lag".to_owned()),
        "{well:?}"
    );
    assert!(!value::<bool>(&mut client, "select hooks.is_healthy()"));
    let workers: i64 = value(&mut client, "select count(*) from hooks.worker");
    assert_eq!(workers, 0);

    let late = "set session_replication_role = replica;
                update hooks.message set due_at = now() - interval '1 hour';
                reset session_replication_role";
    run(&mut client, late);
    let lag = health(&mut client).into_iter().find(|(check, ..)| check == "lag");
    let Some((_, status, _, hint)) = lag else {
        panic!("no check of the lag");
    };
    assert_eq!(status, "fail");
    assert!(hint.is_some(), "no hint what to do about the lag");

    drop(client);
    cluster.reload(&[("shared_preload_libraries", "pg_hooks")]);
    cluster.restart();
    assert_eq!(receiver.wait_for("/orders", 1, SOON)[0].text(), "stored");
}

#[test]
fn worker_view_shows_who_leads_and_since_when() {
    let database = Database::new();
    let mut client = database.connect();
    wait_until("a leader", SOON, || {
        value::<i64>(&mut client, "select count(*) from hooks.worker where leader") == 1
    });
    let workers = client.query("select pid from hooks.worker", &[]).unwrap();
    let workers: Vec<i32> = workers.iter().map(|row| row.get(0)).collect();
    assert_eq!(workers, database.cluster().worker_pids(database.name()));
    assert!(value::<bool>(
        &mut client,
        "select started_at <= leader_since and leader_since <= clock_timestamp() and in_flight = 0
         from hooks.worker"
    ));
}

#[test]
fn worker_view_counts_what_is_in_flight() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::Hang);
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('hanging', '{}');
             select hooks.send_batch('hanging', array['a', 'b', 'c'])",
            receiver.url("/")
        ),
    );
    receiver.wait_for("/", 3, SOON);
    let in_flight = "select in_flight from hooks.worker where leader";
    // The threads that send may be ahead of what the worker shows.
    wait_until("three to be shown", SOON, || {
        value::<i32>(&mut client, in_flight) == 3
    });
    receiver.release("/");
    wait_until("all to be recorded", SOON, || {
        value::<i32>(&mut client, in_flight) == 0
            && value::<i64>(&mut client, "select count(*) from hooks.message_log") == 3
    });
}
