//! Settings that are changed while the server runs.

use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::{Answer, Behaviour, Cluster, wait_until};

use crate::rig::{
    Rig, SOON, deliver, send, send_many, value, wait_for_delivered, wait_for_follower, wait_for_leader,
    wait_for_successor,
};

/// Less than the timeout of a request that hangs.
const PROMPTLY: Duration = Duration::from_secs(12);

/// One queue alone gets half of it but the eighth that is kept for others.
#[test]
fn max_in_flight_takes_effect_at_reload() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.max_in_flight", "8"));
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.earn_slots(&mut client, "q", 8);
    rig.hang("q");
    send_many(&mut client, "q", 20);
    rig.receiver.wait_for("/q", 4, PROMPTLY);
    assert_eq!(rig.receiver.peak_in_flight("/q"), 4);
    rig.cluster.reload(&[("hooks.max_in_flight", "18")]);
    rig.receiver.wait_for("/q", 8, PROMPTLY);
    assert_eq!(rig.receiver.peak_in_flight("/q"), 8);
    rig.cluster.reload(&[("hooks.max_in_flight", "4")]);
    rig.receiver.release("/q");
    for arrived in [10, 12, 14] {
        rig.receiver.wait_for("/q", arrived, PROMPTLY);
        assert_eq!(rig.receiver.count(), arrived, "two at a time");
        rig.receiver.release("/q");
    }
}

#[test]
fn allowed_networks_take_effect_at_reload() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let patient = "select hooks.alter_queue('q', max_attempts => 100, breaker_threshold => null)";
    client.batch_execute(patient).unwrap();
    deliver(&rig.receiver, &mut client, "q", "allowed");
    wait_for_delivered(&mut client, 1);
    rig.cluster.reload(&[("hooks.allowed_networks", "")]);
    send(&mut client, "q", "blocked for a while");
    wait_until("an attempt that is blocked", SOON, || {
        value::<bool>(
            &mut client,
            "select exists (select from hooks.attempt where error_class = 'blocked')",
        )
    });
    assert_eq!(rig.receiver.count(), 1);
    rig.cluster.reload(&[("hooks.allowed_networks", "127.0.0.0/8")]);
    wait_for_delivered(&mut client, 2);
    assert_eq!(rig.receiver.count(), 2);
}

#[test]
fn response_capture_takes_effect_at_reload() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.receiver.on("/q", Answer::new(200).text("0123456789"));
    let captured = "select convert_from(response, 'UTF8') || truncated from hooks.attempt order by message_id desc limit 1";
    deliver(&rig.receiver, &mut client, "q", "hello");
    wait_for_delivered(&mut client, 1);
    assert_eq!(value::<String>(&mut client, captured), "0123456789false");
    rig.cluster.reload(&[("hooks.response_capture", "5")]);
    wait_until("a shorter capture", SOON, || {
        let delivered: i64 = value(&mut client, "select count(*) from hooks.message_log");
        send(&mut client, "q", "hello");
        wait_for_delivered(&mut client, delivered + 1);
        value::<String>(&mut client, captured) == "01234true"
    });
}

#[test]
fn further_worker_follows_when_workers_is_raised() {
    let rig = Rig::start();
    let (_, mut client) = rig.database();
    let leading = wait_for_leader(&mut client);
    rig.cluster.reload(&[("hooks.workers", "2")]);
    wait_for_follower(&mut client);
    assert_eq!(wait_for_leader(&mut client), leading);
}

#[test]
fn follower_ends_when_workers_is_lowered() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.workers", "3"));
    let (_, mut client) = rig.database();
    let leading = wait_for_leader(&mut client);
    let count = "select count(*) from hooks.worker";
    wait_until("all workers", SOON, || value::<i64>(&mut client, count) == 3);
    rig.cluster.reload(&[("hooks.workers", "1")]);
    wait_until("one worker", SOON, || value::<i64>(&mut client, count) == 1);
    assert_eq!(wait_for_leader(&mut client), leading);
}

#[test]
fn setting_that_is_not_valid_is_refused_and_the_old_one_stays() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let shown =
        |database: &str| -> String { value(&mut rig.cluster.connect(database), "show hooks.max_in_flight") };
    rig.cluster.reload(&[("hooks.max_in_flight", "many")]);
    deliver(&rig.receiver, &mut client, "q", "hello");
    assert_eq!(shown(&name), "256");
    rig.cluster.reload(&[("hooks.max_in_flight", "8")]);
    deliver(&rig.receiver, &mut client, "q", "hello again");
    assert_eq!(shown(&name), "8");
}

#[test]
fn follower_leads_with_the_settings_of_today() {
    let settings = [("hooks.workers", "2"), ("hooks.max_in_flight", "8")];
    let builder = settings
        .iter()
        .fold(Cluster::builder(), |builder, (name, value)| {
            builder.setting(name, value)
        });
    let rig = Rig::start_with(builder);
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    wait_for_follower(&mut client);
    rig.cluster.reload(&[("hooks.max_in_flight", "27")]);
    let leading = wait_for_leader(&mut client);
    assert!(signal(leading, Signal::TERM));
    wait_for_successor(&mut client, leading);
    rig.earn_slots(&mut client, "q", 12);
    rig.hang("q");
    send_many(&mut client, "q", 20);
    rig.receiver.wait_for("/q", 12, PROMPTLY);
    assert_eq!(rig.receiver.peak_in_flight("/q"), 12);
}

/// Process ids of the postmaster's children.
fn children(cluster: &Cluster) -> Vec<i32> {
    let postmaster = cluster.postmaster_pid();
    let list = format!("/proc/{postmaster}/task/{postmaster}/children");
    let list = std::fs::read_to_string(list).expect("the postmaster runs");
    list.split_whitespace()
        .map(|pid| pid.parse().expect("a process id"))
        .collect()
}

/// PostgreSQL ignores a reload in a background worker that has not got its handlers yet.
#[test]
fn worker_that_starts_at_a_reload_has_the_settings_of_today() {
    let rig = Rig::start_with(Cluster::builder().setting("hooks.response_capture", "1"));
    let (_, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.receiver.on("/q", Answer::new(200).text("0123456789"));
    let mut leading = wait_for_leader(&mut client);
    for captured in 2..6 {
        let setting = format!("alter system set hooks.response_capture = {captured}");
        client.batch_execute(&setting).unwrap();
        let before = children(&rig.cluster);
        assert!(signal(leading, Signal::TERM));
        let deadline = Instant::now() + SOON;
        // Without a pause between two looks: it is to be stopped before it has done anything.
        let forked = loop {
            let now = children(&rig.cluster);
            if let Some(pid) = now.into_iter().find(|pid| !before.contains(pid)) {
                break pid;
            }
            assert!(Instant::now() < deadline, "no worker was forked");
        };
        assert!(signal(forked, Signal::STOP));
        assert!(signal(rig.cluster.postmaster_pid(), Signal::HUP));
        // Who connected now could wait for a spinlock that the stopped process holds.
        let read = format!("parameter \"hooks.response_capture\" changed to \"{captured}\"");
        wait_until("the settings to be read", SOON, || {
            rig.cluster.log().contains(&read)
        });
        assert!(signal(forked, Signal::CONT));
        leading = wait_for_successor(&mut client, leading);
        deliver(&rig.receiver, &mut client, "q", "hello");
        wait_for_delivered(&mut client, i64::from(captured) - 1);
        let response =
            "select convert_from(response, 'UTF8') from hooks.attempt order by message_id desc limit 1";
        assert_eq!(
            value::<String>(&mut client, response),
            "0123456789"[..captured as usize]
        );
    }
}

#[test]
fn settings_of_the_database_and_the_role_do_not_reach_the_worker() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let settings = [
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "search_path = nowhere",
        "enable_indexscan = off",
        "bytea_output = 'escape'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Asia/Kathmandu'",
    ];
    for setting in settings {
        client
            .batch_execute(&format!(
                "alter database {name} set {setting}; alter role postgres in database {name} set {setting}"
            ))
            .unwrap();
    }
    let leading = wait_for_leader(&mut client);
    assert!(signal(leading, Signal::TERM));
    wait_for_successor(&mut client, leading);
    // This session is older than the settings.
    rig.receiver.on("/q", Behaviour::failing(2, 503));
    let id = send(&mut client, "q", "hello");
    wait_for_delivered(&mut client, 1);
    assert_eq!(rig.receiver.count(), 3);
    let status = "select state || ' ' || attempts from hooks.status($1)";
    let status: String = client.query_one(status, &[&id]).unwrap().get(0);
    assert_eq!(status, "delivered 3");
}
