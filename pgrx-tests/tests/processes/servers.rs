//! Servers on which nothing is sent: without preload, under binary upgrade, standbys.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, StopMode, signal};
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, wait_until};

use crate::rig::{Rig, SOON, queue, send, value, wait_for_delivered, wait_for_leader};
use crate::vitals::{launcher, workers};

#[test]
fn server_without_preload_stores_messages_and_starts_no_worker() {
    let cluster = Cluster::builder().without_preload().start();
    let receiver = Receiver::start();
    let name = cluster.create_hooks_database();
    let mut client = cluster.connect(&name);
    // The settings are not defined before the library is loaded, and then from the file.
    queue(&mut client, "q", &receiver.url("/q"));
    send(&mut client, "q", "stored");
    never_within("something was sent or started", Duration::from_secs(1), || {
        receiver.count() > 0 || launcher(&mut client).is_some() || !workers(&mut client).is_empty()
    });
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.message"), 1);
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.worker"), 0);
    drop(client);

    cluster.reload(&[("shared_preload_libraries", "pg_hooks")]);
    cluster.restart();
    receiver.wait_for("/q", 1, SOON);
}

#[test]
fn server_in_binary_upgrade_mode_starts_nothing() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    drop(client);
    rig.cluster.stop(StopMode::Fast);
    let mut upgrading = start_for_binary_upgrade(&rig.cluster);
    let mut client = rig.reconnect(&name);
    never_within("a process was started", Duration::from_secs(1), || {
        launcher(&mut client).is_some() || !workers(&mut client).is_empty()
    });
    drop(client);
    signal(i32::try_from(upgrading.id()).unwrap(), Signal::INT);
    wait_until("the server to stop", SOON, || upgrading.try_wait().unwrap());
    rig.cluster.start().unwrap();
    wait_for_leader(&mut rig.cluster.connect(&name));
}

/// As pg_upgrade starts a server.
fn start_for_binary_upgrade(cluster: &Cluster) -> Child {
    let owner = std::fs::metadata(cluster.data()).unwrap();
    let mut postgres = Command::new(cluster.tree().program("postgres"));
    postgres
        .arg("-b")
        .arg("-D")
        .arg(cluster.data())
        .current_dir(cluster.data());
    postgres
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        postgres.uid(owner.uid()).gid(owner.gid());
    }
    postgres.spawn().unwrap()
}

#[test]
fn standby_sends_nothing_until_it_is_promoted() {
    let primary = Rig::start();
    let (name, mut client) = primary.database();
    primary.queue(&mut client, "q");
    // Longer than it takes to start a standby.
    let patient = "select hooks.alter_queue('q', timeout => '5 minutes')";
    client.batch_execute(patient).unwrap();
    primary.hang("q");
    send(&mut client, "q", "hangs on the primary");
    primary.receiver.wait_for("/q", 1, SOON);

    let standby = primary.cluster.start_standby(Cluster::builder()).unwrap();
    let mut reader = standby.connect(&name);
    let later = send(&mut client, "q", "replicated");
    wait_until("the message to be replicated", SOON, || {
        let seen = reader.query_one(
            "select exists (select from hooks.message where id = $1)",
            &[&later],
        );
        seen.unwrap().get::<_, bool>(0)
    });
    primary.receiver.wait_for("/q", 2, SOON);
    never_within("the standby sent something", Duration::from_secs(1), || {
        launcher(&mut reader).is_some() || !workers(&mut reader).is_empty() || primary.receiver.count() > 2
    });

    let amiss: Option<String> = value(
        &mut reader,
        "select string_agg(check_name || ': ' || detail, ', ') from hooks.health()
         where status = 'fail' or check_name like 'worker%' and (status, detail, hint)
           is distinct from ('ok', 'this is a standby: no worker runs on it', null)",
    );
    assert_eq!(amiss, None, "a standby is well without a worker");

    drop(client);
    primary.cluster.stop(StopMode::Immediate);
    primary.receiver.on("/q", pg_hooks_tests::Behaviour::status(200));
    reader.batch_execute("select pg_promote()").unwrap();
    primary.receiver.wait_for("/q", 4, SOON);
    wait_for_delivered(&mut reader, 2);
}

#[test]
fn standby_that_keeps_dead_rows_on_the_primary_is_told_of_by_process_or_slot() {
    let primary = Rig::start();
    let (_, mut client) = primary.database();
    client
        .batch_execute("select pg_create_physical_replication_slot('copy')")
        .unwrap();
    let standby = primary.cluster.start_standby(Cluster::builder()).unwrap();
    let holder = "select coalesce((select holder from hooks.snapshot_holder('1 hour', -1)), 'nobody')";
    let feedback = [
        ("hot_standby_feedback", "on"),
        ("wal_receiver_status_interval", "1s"),
    ];
    standby.reload(&feedback);
    wait_until("the standby to be told of", SOON, || {
        value::<String>(&mut client, holder).contains("of standby")
    });
    standby.reload(&[("primary_slot_name", "copy")]);
    wait_until("the slot to be told of", SOON, || {
        value::<String>(&mut client, holder).starts_with("replication slot \"copy\"")
    });
    assert!(value::<bool>(
        &mut client,
        "select detail like 'nobody%' from hooks.health() where check_name = 'snapshots'"
    ));
}
