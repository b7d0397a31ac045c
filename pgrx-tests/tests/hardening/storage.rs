//! Messages whose commits are not on disk yet, or were so long ago that nothing is known of them.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use pg_hooks_tests::Cluster;
use pg_hooks_tests::cluster::StopMode;
use postgres::Client;

use crate::site::{Site, run};

/// Every database of the cluster, template0 too, as that is what keeps the history of transactions.
fn vacuum_freeze_everything(cluster: &Cluster, database: &str) {
    run(
        &mut cluster.connect("postgres"),
        "alter database template0 allow_connections true",
    );
    for name in ["template0", "template1", "postgres", database] {
        run(&mut cluster.connect(name), "vacuum freeze");
    }
    run(
        &mut cluster.connect("postgres"),
        "alter database template0 allow_connections false",
    );
}

/// Lets the stopped server go on with this transaction, as the server's user.
fn advance_transactions(cluster: &Cluster, next: u32) {
    let data = cluster.data();
    let owner = std::fs::metadata(&data).unwrap();
    let done = Command::new(cluster.tree().program("pg_resetwal"))
        .args(["--next-transaction-id", &next.to_string(), "--pgdata"])
        .arg(&data)
        .current_dir("/")
        .uid(owner.uid())
        .gid(owner.gid())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn asynchronous(site: &Site) -> Client {
    let mut client = site.connect();
    run(&mut client, "set synchronous_commit = off");
    client
}

#[test]
fn messages_of_asynchronous_commits_arrive_at_once_and_after_a_restart() {
    let cluster = Cluster::builder()
        .durable()
        .setting("wal_writer_delay", "10s")
        .start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.queue("paused", ", active => false");
    let mut client = asynchronous(&site);
    for _ in 0..10 {
        site.assert_prompt(&mut client, "q");
    }
    run(
        &mut client,
        "select hooks.send('paused', 'x'), hooks.send('paused', 'later', at => now() + interval '1 s')",
    );
    cluster.stop(StopMode::Fast);
    cluster.start().unwrap();
    site.client = cluster.connect(&site.database);
    site.run("select hooks.resume('paused')");
    site.arrivals("paused", 2);
    site.wait_for_delivered(12);
    let mut client = asynchronous(&site);
    site.assert_prompt(&mut client, "q");
}

#[test]
fn frozen_message_is_sent_in_time() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x', at => now() + interval '1.5 s')");
    site.run("vacuum freeze hooks.message");
    let request = site.arrival("q");
    site.wait_for_delivered(1);
    let late: f64 = site.value(&format!(
        "select extract(epoch from to_timestamp({} / 1e6) - due_at)::float8 from hooks.message_log",
        request.arrived.unix_us
    ));
    assert!((0.0..15.0).contains(&late), "{late} s late");
}

#[test]
fn message_older_than_the_history_of_transactions_is_sent() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", ", active => false");
    site.send("q", "x");
    let written_by: i64 = site.value("select xmin::text::bigint from hooks.message");
    vacuum_freeze_everything(&cluster, &site.database);
    cluster.stop(StopMode::Fast);
    // Two files of the history on, at the beginning of one.
    advance_transactions(&cluster, 2 << 20);
    cluster.start().unwrap();
    site.client = cluster.connect(&site.database);
    vacuum_freeze_everything(&cluster, &site.database);
    let history: Vec<String> = std::fs::read_dir(cluster.data().join("pg_xact"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !history.contains(&"0000".to_owned()),
        "{written_by} is in {history:?}"
    );
    site.leader();
    site.run("select hooks.resume('q')");
    assert_eq!(site.arrival("q").text(), "x");
    site.wait_for_delivered(1);
}
