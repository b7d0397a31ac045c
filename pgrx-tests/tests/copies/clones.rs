//! CREATE DATABASE ... TEMPLATE, and what else needs a database without sessions.

use std::time::{Duration, Instant};

use pg_hooks_tests::Receiver;
use pg_hooks_tests::site::{refusal, row, run, value};
use pg_hooks_tests::wait::never_within;

use crate::scene::{SOON, assert_silent, copy_check, original, send_some, server, wait_for_state};

#[test]
fn clone_of_a_released_database_sends_nothing_until_it_is_adopted() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut source = original(&cluster, &receiver, "original");
    send_some(&mut source);
    let key: String = value(&mut source, "select webhook_key from hooks.installation");
    drop(source);
    let mut postgres = cluster.connect("postgres");
    run(&mut postgres, "create database clone template original");

    let mut clone = cluster.connect("clone");
    // A new launcher looks around at once, the old one would within a minute.
    run(
        &mut postgres,
        "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'pg_hooks launcher'",
    );
    wait_for_state(&mut clone, "held: copied");
    assert_eq!(
        copy_check(&mut clone),
        "fail: this database is a copy of another one: nothing is sent, and 2 messages are held"
    );
    run(
        &mut clone,
        "select hooks.create_queue('new', 'https://example.com/')",
    );
    assert_silent(&receiver);
    let adopted = row(&mut clone, "select was, queues, to_send from hooks.adopt()");
    assert_eq!(adopted.get::<_, String>(0), "copied");
    assert_eq!([adopted.get::<_, i64>(1), adopted.get(2)], [2, 2]);
    let arrived = receiver.wait_for("/q", 2, SOON);
    assert!(arrived[0].webhook_id().unwrap().contains(&key));
    wait_for_state(&mut clone, "leading");
    // It stays adopted, and no worker is needed to adopt.
    run(&mut clone, "select hooks.release('10 minutes')");
    drop(clone);
    run(&mut postgres, "create database grandchild template clone");
    let mut grandchild = cluster.connect("grandchild");
    run(
        &mut grandchild,
        "select hooks.adopt(); select hooks.send('q', 'of the grandchild')",
    );
    receiver.wait_for("/q", 3, SOON);
    drop(grandchild);
    cluster.restart();
    wait_for_state(&mut cluster.connect("clone"), "leading");
}

#[test]
fn released_database_is_served_again_in_time_or_on_demand() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut client = original(&cluster, &receiver, "original");
    run(&mut client, "select hooks.send('q', 'one')");
    assert_silent(&receiver);
    run(&mut client, "select hooks.release('0')");
    receiver.wait_for("/q", 1, SOON);

    let begun = Instant::now();
    run(
        &mut client,
        "select hooks.release('8 seconds'); select hooks.send('q', 'two')",
    );
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.worker"), 0);
    receiver.wait_for("/q", 2, SOON);
    assert!(begun.elapsed() >= Duration::from_secs(8), "{:?}", begun.elapsed());

    assert_eq!(
        refusal(&mut client, "select hooks.release('1 day')").code,
        "22023"
    );
    assert_eq!(refusal(&mut client, "select hooks.release(null)").code, "22023");
}

/// The launcher wakes just when a release ends, and must not take it for one that never does.
#[test]
fn worker_comes_back_after_each_of_many_releases() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut client = original(&cluster, &receiver, "original");
    for milliseconds in 0..20 {
        run(
            &mut client,
            &format!("select hooks.release('{} milliseconds')", 1_200 + milliseconds),
        );
        wait_for_state(&mut client, "leading");
    }
}

#[test]
fn released_database_can_be_renamed_and_dropped() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut client = original(&cluster, &receiver, "original");
    run(&mut client, "select hooks.release('0')");
    wait_for_state(&mut client, "leading");
    let mut postgres = cluster.connect("postgres");
    drop(client);
    // The worker is connected: a clear error, and soon.
    let begun = Instant::now();
    let refused = refusal(&mut postgres, "alter database original rename to renamed");
    assert_eq!(refused.code, "55006");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());

    run(
        &mut cluster.connect("original"),
        "select hooks.release('12 seconds')",
    );
    run(&mut postgres, "alter database original rename to renamed");
    let mut client = cluster.connect("renamed");
    // The database is the same one.
    wait_for_state(&mut client, "leading");
    run(&mut client, "select hooks.send('q', 'renamed')");
    receiver.wait_for("/q", 1, SOON);

    run(&mut client, "select hooks.release('1 minute')");
    drop(client);
    run(&mut postgres, "drop database renamed");
    // Its entry is given up, and the next database is served.
    let mut next = original(&cluster, &receiver, "next");
    run(&mut next, "select hooks.release('0')");
    wait_for_state(&mut next, "leading");
    never_within("somebody asks for the old one", Duration::from_secs(2), || {
        cluster.log().contains("FATAL:  database")
    });
}
