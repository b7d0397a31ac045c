//! Settings: what they take, and when they take effect.

use pg_hooks_tests::{Cluster, wait_until};
use postgres::Client;

use crate::database::{SOON, run, value};
use crate::refusal::{INVALID, Refusal};

/// The error of `alter system set`, with its detail.
#[track_caller]
fn refused(client: &mut Client, assignment: &str) -> (Refusal, String) {
    let Err(error) = client.batch_execute(&format!("alter system set {assignment}")) else {
        panic!("not refused: {assignment}");
    };
    let error = error.as_db_error().expect("the server answers");
    let refusal = Refusal::new(
        error.code().code(),
        error.message(),
        error.hint().unwrap_or_default(),
    );
    (refusal, error.detail().unwrap_or_default().to_owned())
}

#[test]
fn number_out_of_range_is_refused() {
    let mut client = Cluster::shared().connect("postgres");
    let cases = [
        ("hooks.max_body_size = '65MB'", "68157440 B"),
        ("hooks.max_body_size = 67108865", "67108865 B"),
        ("hooks.max_body_size = -1", "-1 B"),
        ("hooks.response_capture = '2MB'", "2097152 B"),
        ("hooks.max_in_flight = 0", "0"),
        ("hooks.max_in_flight = 4097", "4097"),
        ("hooks.workers = 0", "0"),
        ("hooks.workers = 9", "9"),
        ("hooks.rescan_interval = '99 ms'", "99 ms"),
    ];
    for (assignment, value) in cases {
        let name = assignment.split(' ').next().expect("a name comes first");
        let (refusal, _) = refused(&mut client, assignment);
        assert_eq!(refusal.code, INVALID, "{assignment}");
        // The range follows, which versions of PostgreSQL write differently.
        let message = format!("{value} is outside the valid range for parameter \"{name}\" (");
        assert!(refusal.message.starts_with(&message), "{refusal:?}");
    }
}

#[test]
fn network_that_is_none_is_refused() {
    let mut client = Cluster::shared().connect("postgres");
    let cases = [
        ("nonsense", "nonsense"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("10.0.0.0/8, fc00::/129", "fc00::/129"),
        ("10.0.0.0/8 127.0.0.1", "10.0.0.0/8 127.0.0.1"),
        ("localhost", "localhost"),
    ];
    for (value, item) in cases {
        let (refusal, detail) = refused(&mut client, &format!("hooks.allowed_networks = '{value}'"));
        let message = format!("invalid value for parameter \"hooks.allowed_networks\": \"{value}\"");
        let hint = "Separate networks such as 10.0.0.0/8 and addresses by commas.";
        assert_eq!(refusal, Refusal::new(INVALID, message, hint));
        assert_eq!(detail, format!("\"{item}\" is not a network or address."));
    }
}

#[test]
fn list_of_networks_is_taken() {
    let cluster = Cluster::builder().start();
    let mut client = cluster.connect("postgres");
    for value in ["", "10.0.0.0/8", " 10.0.0.1 , fc00::/7,::1, ", "0.0.0.0/0"] {
        run(
            &mut client,
            &format!("alter system set hooks.allowed_networks = '{value}'"),
        );
    }
}

#[test]
fn settings_cannot_be_changed_by_a_session() {
    let mut client = Cluster::shared().connect("postgres");
    for (name, value) in [
        ("max_body_size", "1"),
        ("allowed_networks", "0.0.0.0/0"),
        ("require_https", "off"),
    ] {
        let set = client.batch_execute(&format!("set hooks.{name} = '{value}'"));
        let error = set.expect_err("a session changed it");
        let error = error.as_db_error().expect("the server answers");
        let message = format!("parameter \"hooks.{name}\" cannot be changed now");
        assert_eq!(
            (error.code().code(), error.message()),
            ("55P02", message.as_str())
        );
    }
}

#[test]
fn misspelt_setting_is_refused() {
    let mut client = Cluster::shared().connect("postgres");
    let set = client.batch_execute("set hooks.max_body = '1'");
    let error = set.expect_err("a setting that does not exist was set");
    let error = error.as_db_error().expect("the server answers");
    assert_eq!(
        error.message(),
        "invalid configuration parameter name \"hooks.max_body\""
    );
}

/// Whether a queue may be made for this URL now.
fn is_taken(client: &mut Client, url: &str) -> bool {
    let create = format!("begin; select hooks.create_queue('probe', '{url}')");
    let taken = client.batch_execute(&create).is_ok();
    run(client, "rollback");
    taken
}

#[test]
fn address_rules_follow_a_reload() {
    let cluster = Cluster::builder().setting("hooks.allowed_networks", "").start();
    let mut client = cluster.connect("postgres");
    run(&mut client, "create extension pg_hooks");
    assert!(!is_taken(&mut client, "http://10.1.2.3/"));
    assert!(!is_taken(&mut client, "http://9.9.9.9/"));
    cluster.reload(&[("hooks.allowed_networks", "10.1.0.0/16")]);
    wait_until("the network to be open", SOON, || {
        is_taken(&mut client, "http://10.1.2.3/")
    });
    assert!(!is_taken(&mut client, "http://10.2.0.1/"));
    assert!(!is_taken(&mut client, "http://9.9.9.9/"));
    cluster.reload(&[("hooks.require_https", "off")]);
    wait_until("plain http to be allowed", SOON, || {
        is_taken(&mut client, "http://9.9.9.9/")
    });
    assert!(!is_taken(&mut client, "http://10.2.0.1/"));
}

#[test]
fn limit_of_bodies_follows_a_reload() {
    let cluster = Cluster::builder().setting("hooks.max_body_size", "10").start();
    let mut client = cluster.connect("postgres");
    run(
        &mut client,
        "create extension pg_hooks; select hooks.create_queue('good', 'https://example.com/', active => false)",
    );
    let fits = |client: &mut Client, bytes: usize| {
        let send = format!("select hooks.send('good', repeat('x', {bytes}))");
        client.batch_execute(&send).is_ok()
    };
    assert!(fits(&mut client, 10));
    assert!(!fits(&mut client, 11));
    cluster.reload(&[("hooks.max_body_size", "64MB")]);
    wait_until("larger bodies to be taken", SOON, || fits(&mut client, 64 << 20));
    assert!(!fits(&mut client, (64 << 20) + 1));
}

/// A reload keeps the value that was good; a start has none to keep and opens nothing.
#[test]
fn wrong_network_in_the_configuration_opens_nothing_and_is_logged() {
    let cluster = Cluster::builder()
        .setting("hooks.allowed_networks", "10.1.0.0/16")
        .start();
    let mut client = cluster.connect("postgres");
    run(&mut client, "create extension pg_hooks");
    cluster.reload(&[("hooks.allowed_networks", "10.2.0.0/99")]);
    let complaint = "invalid value for parameter \"hooks.allowed_networks\": \"10.2.0.0/99\"";
    wait_until("the complaint", SOON, || cluster.log().contains(complaint));
    assert!(
        is_taken(&mut client, "http://10.1.2.3/"),
        "the old value was lost"
    );
    let setting: String = value(&mut client, "show hooks.allowed_networks");
    assert_eq!(setting, "10.1.0.0/16");
    cluster.restart();
    let mut client = cluster.connect("postgres");
    assert!(!is_taken(&mut client, "http://10.1.2.3/"));
    assert!(!is_taken(&mut client, "http://10.2.0.1/"));
    assert!(cluster.log().matches(complaint).count() >= 2);
}
