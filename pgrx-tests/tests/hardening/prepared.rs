//! Transactions that are prepared and committed later, by whomever.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::{Cluster, wait_until};
use postgres::Client;

use crate::site::{Site, run, send};

/// Nobody tells of the commit: the leader looks now and then.
const A_FEW_SECONDS: Duration = Duration::from_secs(4);

/// A cluster whose leader looks at the tables once, unless something makes it look.
fn cluster() -> Cluster {
    Cluster::builder().setting("hooks.rescan_interval", "1h").start()
}

fn prepare(client: &mut Client, script: &str) {
    run(
        client,
        &format!("begin; {script}; prepare transaction 'prepared'"),
    );
}

/// Others are delivered as if nothing were prepared.
#[track_caller]
fn assert_others_go_on(site: &Site, client: &mut Client) {
    for _ in 0..10 {
        site.assert_prompt(client, "other");
    }
}

#[track_caller]
fn assert_arrives(site: &Site, name: &str) {
    site.receiver.wait_for(&format!("/{name}"), 1, A_FEW_SECONDS);
}

#[test]
fn prepared_message_holds_back_no_other_and_is_sent_soon_after_its_commit() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.queue("other", "");
    prepare(&mut site.client, "select hooks.send('q', 'x')");
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    assert_eq!(site.arrived("q"), 0);
    run(&mut other, "commit prepared 'prepared'");
    assert_arrives(&site, "q");
}

#[test]
fn prepared_message_is_sent_soon_after_its_commit_by_the_next_leader_too() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    prepare(&mut site.client, "select hooks.send('q', 'x')");
    let leader = site.leader();
    assert!(signal(leader, Signal::TERM));
    site.wait_until(&format!(
        "select exists (select from hooks.worker where leader and pid <> {leader})"
    ));
    site.queue("other", "");
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    run(&mut other, "commit prepared 'prepared'");
    assert_arrives(&site, "q");
}

#[test]
fn prepared_change_of_a_url_is_followed_soon_after_its_commit() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.queue("other", "");
    let url = site.receiver.url("/new");
    prepare(
        &mut site.client,
        &format!("select hooks.alter_queue('q', url => '{url}')"),
    );
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    run(&mut other, "commit prepared 'prepared'");
    wait_until("a message at the new URL", A_FEW_SECONDS, || {
        send(&mut other, "q", "x");
        site.arrived("new") > 0
    });
}

#[test]
fn prepared_pause_is_followed_soon_after_its_commit() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.queue("other", "");
    prepare(&mut site.client, "select hooks.pause('q')");
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    run(&mut other, "commit prepared 'prepared'");
    wait_until("messages to be kept", A_FEW_SECONDS, || {
        let id = send(&mut other, "q", "x");
        site.assert_prompt(&mut other, "other");
        let requests = site.receiver.requests("/q");
        !requests.iter().any(|request| request.message_id() == Some(id))
    });
}

#[test]
fn prepared_rename_is_followed_by_sessions_that_knew_the_old_name() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    let mut warm = site.connect();
    send(&mut warm, "q", "warm");
    prepare(
        &mut site.client,
        "select hooks.alter_queue('q', name => 'renamed')",
    );
    send(&mut warm, "q", "still");
    run(&mut site.client, "commit prepared 'prepared'");
    wait_until("the old name to be unknown", A_FEW_SECONDS, || {
        warm.execute("select hooks.send('q', 'x')", &[]).is_err()
    });
    send(&mut warm, "renamed", "x");
}
