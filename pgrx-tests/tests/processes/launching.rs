//! What the launcher knows of databases, and for how long.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, wait_until};

use crate::rig::{Rig, SOON, wait_for_follower, wait_for_leader};
use crate::vitals::{launcher, logged};

#[test]
fn database_gets_its_worker_however_many_others_were_announced_anew() {
    let rig = Rig::start();
    for _ in 0..5 {
        let (_, mut client) = rig.database();
        client.batch_execute("select hooks.adopt_roles()").unwrap();
    }
    rig.database();
}

#[test]
fn worker_that_ends_after_an_announcement_is_replaced() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.workers", "2"));
    let (_, mut client) = rig.database();
    let follower = wait_for_follower(&mut client);
    client.batch_execute("select hooks.adopt_roles()").unwrap();
    assert!(signal(follower, Signal::TERM));
    wait_until("the follower to end", SOON, || {
        let rows = client.query("select from hooks.worker where pid = $1", &[&follower]);
        rows.unwrap().is_empty()
    });
    wait_for_follower(&mut client);
}

#[test]
fn what_is_known_of_a_database_stays_while_it_is_a_template() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    let mut postgres = rig.cluster.connect("postgres");
    client
        .batch_execute("select hooks.release('10 minutes')")
        .unwrap();
    let set = |postgres: &mut postgres::Client, is_template: bool| {
        postgres
            .batch_execute(&format!("alter database \"{name}\" is_template {is_template}"))
            .unwrap();
    };
    set(&mut postgres, true);
    // A new launcher looks around at once; it has done so when it has served another database.
    let old = wait_until("the launcher", SOON, || launcher(&mut postgres));
    assert!(signal(old, Signal::TERM));
    wait_until("another launcher", SOON, || {
        launcher(&mut postgres).filter(|pid| *pid != old)
    });
    rig.database();
    set(&mut postgres, false);
    rig.database();
    never_within("the release was forgotten", Duration::from_millis(1500), || {
        !rig.cluster.worker_pids(&name).is_empty()
    });
    client.batch_execute("select hooks.release('0')").unwrap();
    wait_for_leader(&mut client);
}

/// Of a locale that the system does not have, PostgreSQL connects nobody.
#[test]
fn database_whose_first_worker_could_not_connect_is_looked_into_again() {
    let rig = Rig::start();
    let (name, client) = rig.database();
    drop(client);
    let mut postgres = rig.cluster.connect("postgres");
    let locale: String = postgres
        .query_one("select datctype from pg_database where datname = $1", &[&name])
        .unwrap()
        .get(0);
    let set = |postgres: &mut postgres::Client, locale: &str| {
        let update = "update pg_database set datctype = $1 where datname = $2";
        postgres.execute(update, &[&locale, &name]).unwrap();
    };
    set(&mut postgres, "nowhere");
    drop(postgres);
    rig.cluster.restart();
    let mut postgres = rig.cluster.connect("postgres");
    wait_until("a worker that cannot connect", SOON, || {
        logged(&rig.cluster, "\"nowhere\"") > 0
    });
    set(&mut postgres, &locale);
    // Of a session that asks for anything of ours the launcher would learn.
    wait_until("a worker, a minute later", Duration::from_secs(120), || {
        rig.cluster.worker_pids(&name).first().copied()
    });
}
