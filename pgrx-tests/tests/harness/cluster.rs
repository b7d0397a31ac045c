use std::time::Duration;

use pg_hooks_tests::clock::Clock;
use pg_hooks_tests::cluster::{Signal, StopMode, kill9, signal};
use pg_hooks_tests::{Cluster, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn plain() -> Cluster {
    Cluster::builder().without_preload().start_plain().unwrap()
}

fn setting(cluster: &Cluster, name: &str) -> String {
    cluster
        .connect("postgres")
        .query_one("select current_setting($1)", &[&name])
        .unwrap()
        .get(0)
}

#[test]
fn cluster_runs_from_its_own_tree_as_an_unprivileged_user() {
    let cluster = plain();
    let mut client = cluster.connect("postgres");
    let library: String = client
        .query_one("select setting from pg_config where name = 'PKGLIBDIR'", &[])
        .unwrap()
        .get(0);
    assert!(
        library.starts_with(cluster.tree().root().to_str().unwrap()),
        "{library}"
    );
    client
        .batch_execute("create extension pgcrypto; select digest('x', 'sha256')")
        .unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.postmaster_pid())).unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(!uid.split_whitespace().any(|uid| uid == "0"), "{uid}");
}

#[test]
fn settings_are_taken_and_reloaded() {
    let cluster = Cluster::builder()
        .without_preload()
        .setting("work_mem", "1234kB")
        .start_plain()
        .unwrap();
    assert_eq!(setting(&cluster, "work_mem"), "1234kB");
    cluster.reload(&[("work_mem", "4321kB"), ("hooks.note", "it's quoted")]);
    assert_eq!(setting(&cluster, "work_mem"), "4321kB");
    assert_eq!(setting(&cluster, "hooks.note"), "it's quoted");
}

#[test]
fn data_survives_stop_crash_and_kill() {
    let cluster = plain();
    let count = || -> i64 {
        cluster
            .connect("postgres")
            .query_one("select count(*) from t", &[])
            .unwrap()
            .get(0)
    };
    cluster
        .connect("postgres")
        .batch_execute("create table t as select 1")
        .unwrap();
    for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
        cluster.stop(mode);
        cluster.start().unwrap();
        assert_eq!(count(), 1, "{mode:?}");
    }
    cluster.kill9_postmaster();
    cluster.start().unwrap();
    assert_eq!(count(), 1);
}

#[test]
fn backend_can_be_killed_and_the_server_comes_back() {
    let cluster = plain();
    let mut client = cluster.connect("postgres");
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    assert!(cluster.pids().contains(&pid));
    assert!(signal(pid, Signal::KILL));
    // Until the postmaster knows of it, connections are made as before.
    wait_until("the end of the backend to be known", SOON, || {
        cluster.log().contains("was terminated by signal 9")
    });
    wait_until("recovery", SOON, || {
        cluster
            .try_connect("postgres", "postgres")
            .is_ok_and(|mut client| client.query_one("select 1", &[]).is_ok())
    });
}

#[test]
fn settings_are_read_also_when_the_clock_went_back() {
    let clock = Clock::start().unwrap();
    let builder = Cluster::builder().without_preload();
    let cluster = clock.given_to(builder).start_plain().unwrap();
    clock.turn(-3_600).unwrap();
    cluster.reload(&[("work_mem", "1MB")]);
    assert_eq!(setting(&cluster, "work_mem"), "1MB");
}

#[test]
fn process_that_ended_by_itself_is_not_killed() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    // It has ended, and nobody has asked how: a signal still reaches it, and does nothing.
    wait_until("the end of a process", SOON, || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
    assert!(signal(pid, Signal::KILL));
    assert!(!kill9(pid));
    child.wait().unwrap();
    assert!(!kill9(pid));
}

#[test]
fn dropped_cluster_leaves_nothing() {
    let cluster = plain();
    let (folder, pids) = (cluster.socket_folder().to_owned(), cluster.pids());
    assert!(pids.len() > 3);
    drop(cluster);
    assert!(!folder.exists());
    wait_until("its processes to end", SOON, || {
        pids.iter().all(|pid| !signal(*pid, Signal::CONT))
    });
}

#[test]
fn psql_runs_scripts_and_reports_errors() {
    let cluster = plain();
    assert!(
        cluster
            .psql("postgres", "select 'it' || 's';")
            .unwrap()
            .contains("its")
    );
    let failure = cluster
        .psql("postgres", "select 1;\nselect nothing;")
        .unwrap_err()
        .to_string();
    assert!(
        failure.contains("script.sql:2: ERROR:  column \"nothing\" does not exist"),
        "{failure}"
    );
}

#[test]
fn failure_to_start_shows_the_log() {
    let failure = Cluster::builder()
        .without_preload()
        .setting("work_mem", "much")
        .start_plain()
        .err()
        .unwrap();
    assert!(
        failure
            .to_string()
            .contains("invalid value for parameter \"work_mem\""),
        "{failure}"
    );
}
