//! Transactions that are prepared and committed later, by whomever.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal, stop_at_rest};
use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};
use postgres::Client;

use crate::site::{Site, run, send};

/// Nobody tells of the commit: the leader looks now and then, and not only once in an hour.
const A_FEW_SECONDS: Duration = Duration::from_secs(15);

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
        // The two go by different connections, and so in any order.
        let sent = try_wait(Duration::from_millis(500), || {
            let requests = site.receiver.requests("/q");
            requests.iter().any(|request| request.message_id() == Some(id))
        });
        sent.is_err()
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

#[test]
fn prepared_messages_of_a_key_hold_back_nothing_and_are_sent_in_order_after_their_commit() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    let second_hangs = vec![Behaviour::status(200), Behaviour::Hang, Behaviour::status(200)];
    site.receiver.on("/q", Behaviour::Script(second_hangs));
    site.queue("q", ", timeout => '5 minutes'");
    let send = |body: &str| format!("select hooks.send('q', '{body}', ordering_key => 'a')");
    prepare(&mut site.client, &["a1", "a2"].map(send).join(";"));
    let mut other = site.connect();
    run(&mut other, &send("a3"));
    assert_arrives(&site, "q");
    run(&mut other, "commit prepared 'prepared'");
    site.receiver.wait_for("/q", 2, A_FEW_SECONDS);
    site.queue("other", "");
    assert_others_go_on(&site, &mut other);
    site.receiver.release("/q");
    site.wait_for_delivered(13);
    let requests = site.arrivals("q", 3);
    let bodies: Vec<&str> = requests.iter().map(|request| request.text()).collect();
    assert_eq!(bodies, ["a3", "a1", "a2"]);
}

#[test]
fn prepared_cancel_of_the_first_of_a_key_lets_the_next_go_soon_after_its_commit() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    let first: i64 =
        site.value("select hooks.send('q', 'a1', at => now() + interval '1 hour', ordering_key => 'a')");
    site.run("select hooks.send('q', 'a2', ordering_key => 'a')");
    prepare(&mut site.client, &format!("select hooks.cancel({first})"));
    site.queue("other", "");
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    assert_eq!(site.arrived("q"), 0);
    run(&mut other, "commit prepared 'prepared'");
    assert_arrives(&site, "q");
    assert_eq!(site.arrival("q").text(), "a2");
}

#[test]
fn prepared_redrive_of_a_blocking_dead_letter_is_sent_before_the_rest_of_its_key() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", ", max_attempts => 1, ordering_policy => 'block'");
    site.run("select hooks.send_batch('q', array['a1', 'a2'], ordering_key => 'a')");
    site.dead_letters(1);
    prepare(
        &mut site.client,
        "select hooks.redrive(id) from hooks.dead_letter",
    );
    site.queue("other", "");
    let mut other = site.connect();
    assert_others_go_on(&site, &mut other);
    run(&mut other, "commit prepared 'prepared'");
    let requests = site.receiver.wait_for("/q", 3, A_FEW_SECONDS);
    let bodies: Vec<&str> = requests.iter().map(|request| request.text()).collect();
    assert_eq!(bodies, ["a1", "a1", "a2"]);
}

/// The leader is busy, or stopped, while all of it happens.
#[test]
fn message_prepared_and_committed_between_two_looks_is_sent_soon_while_another_stays_prepared() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    let leader = site.leader();
    prepare(&mut site.client, "select hooks.send('q', 'lingers')");
    let mut other = site.connect();
    // So that it has looked at what is prepared.
    site.wait_until("select pg_sleep(0.7) is not null");
    let stopped = stop_at_rest(&mut other, leader);
    run(
        &mut other,
        "begin; select hooks.send('q', 'x'); prepare transaction 'second'",
    );
    run(&mut other, "commit prepared 'second'");
    drop(stopped);
    wait_until("the second", A_FEW_SECONDS, || {
        site.receiver
            .requests("/q")
            .iter()
            .any(|request| request.text() == "x")
    });
    run(&mut other, "rollback prepared 'prepared'");
}
