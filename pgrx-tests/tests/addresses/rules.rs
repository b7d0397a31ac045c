//! The settings that open and close networks and ports.

use pg_hooks_tests::site::{Refusal, SOON, Site};
use pg_hooks_tests::{Cluster, wait_until};

/// A cluster of a test's own, with these settings.
fn cluster(settings: &[(&str, &str)]) -> &'static Cluster {
    let builder = settings
        .iter()
        .fold(Cluster::builder(), |builder, (name, value)| {
            builder.setting(name, value)
        });
    Box::leak(Box::new(builder.start()))
}

#[track_caller]
fn assert_refused(site: &mut Site, url: &str, why: &str, hint: &str) {
    let expected = Refusal {
        code: "22023".to_owned(),
        message: format!("url is not allowed: {why}"),
        hint: hint.to_owned(),
    };
    let refused = site.refusal(&format!("select hooks.create_queue('refused', '{url}')"));
    assert_eq!(refused, expected);
}

/// Sends to a queue until its attempts are refused, as the worker reads settings on its own time, and then once
/// more. Gives class and text of the last attempt, before which nothing arrived.
fn refused_attempt(site: &mut Site, queue: &str) -> (String, String) {
    let refused = format!(
        "select count(*) from hooks.attempt as a join hooks.queue as q on q.id = a.queue_id
         where q.name = '{queue}' and a.error_class is not null"
    );
    wait_until("an attempt to be refused", SOON, || {
        site.run(&format!("select hooks.send('{queue}', 'x')"));
        site.settle();
        site.value::<i64>(&refused) > 0
    });
    let arrived = site.arrived(queue);
    site.run(&format!("select hooks.send('{queue}', 'x')"));
    site.settle();
    assert_eq!(site.arrived(queue), arrived);
    let last = "select array[error_class, error] from hooks.attempt order by attempted_at desc limit 1";
    let found: Vec<String> = site.value(last);
    (found[0].clone(), found[1].clone())
}

#[test]
fn denied_network_wins_over_an_allowed_one_when_a_queue_is_made_and_at_each_attempt() {
    let cluster = cluster(&[("hooks.denied_networks", "10.1.0.0/16, 2606:4700::/32")]);
    let mut site = Site::on(cluster);
    cluster.reload(&[("hooks.allowed_networks", "127.0.0.0/8, 10.0.0.0/8")]);
    let hint = "An administrator denied its network by hooks.denied_networks.";
    wait_until("the network to be open", SOON, || {
        let open = "begin; select hooks.create_queue('q', 'http://10.2.0.1/'); rollback";
        site.client.batch_execute(open).is_ok() || site.client.batch_execute("rollback").is_err()
    });
    for (host, address) in [
        ("10.1.2.3", "10.1.2.3"),
        ("0x0a010203", "10.1.2.3"),
        ("[::ffff:10.1.2.3]", "::ffff:10.1.2.3"),
        ("[64:ff9b::10.1.2.3]", "64:ff9b::a01:203"),
        ("[2606:4700::1111]", "2606:4700::1111"),
    ] {
        let why = format!("address {address} is in a denied network");
        assert_refused(&mut site, &format!("https://{host}/"), &why, hint);
    }

    site.queue("late", ", max_attempts => 1");
    site.run("select hooks.send('late', 'x')");
    site.arrival("late");
    cluster.reload(&[("hooks.denied_networks", "127.0.0.1")]);
    let why = "address 127.0.0.1 is in a denied network";
    let refused = ("blocked".to_owned(), why.to_owned());
    assert_eq!(refused_attempt(&mut site, "late"), refused);
    assert_refused(&mut site, "http://127.0.0.1:8080/", why, hint);
}

#[test]
fn ports_below_1024_are_not_reached_but_for_those_of_the_web() {
    let mut site = Site::new();
    let hint = "An administrator can add it to hooks.allowed_ports.";
    for (url, port) in [
        ("https://example.com:22/", 22),
        ("https://example.com:25/", 25),
        ("http://127.0.0.1:6/", 6),
        ("https://9.9.9.9:1023/", 1023),
    ] {
        assert_refused(&mut site, url, &format!("port {port} is not allowed"), hint);
    }
    for (number, url) in [
        "http://127.0.0.1/",
        "https://example.com/",
        "https://example.com:80/",
        "https://9.9.9.9:1024/",
        "https://9.9.9.9:65535/",
    ]
    .iter()
    .enumerate()
    {
        site.run(&format!(
            "select hooks.create_queue('q{number}', '{url}', active => false)"
        ));
    }
}

#[test]
fn port_that_is_no_longer_allowed_is_not_dialled() {
    let cluster = cluster(&[]);
    let mut site = Site::on(cluster);
    site.queue("kept", ", max_attempts => 1");
    site.run("select hooks.send('kept', 'x')");
    site.arrival("kept");
    cluster.reload(&[("hooks.allowed_ports", "443, 80")]);
    let (class, why) = refused_attempt(&mut site, "kept");
    assert_eq!(class, "blocked");
    assert!(
        why.starts_with("port ") && why.ends_with(" is not allowed"),
        "{why}"
    );
}

#[test]
fn setting_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let mut site = Site::new();
    let networks = "Separate networks such as 10.0.0.0/8 and addresses by commas.";
    let ports = "Separate ports and ranges such as 1024-65535 by commas; 1-65535 allows all.";
    let proxy = "Give a URL such as http://proxy.example.com:3128, without user name, path and query.";
    for (name, value, detail, hint) in [
        (
            "denied_networks",
            "10.0.0.0/40",
            "\"10.0.0.0/40\" is not a network or address.",
            networks,
        ),
        (
            "allowed_ports",
            "80,ssh",
            "\"ssh\" is not a port or a range of ports.",
            ports,
        ),
        (
            "allowed_ports",
            "90-80",
            "\"90-80\" is not a port or a range of ports.",
            ports,
        ),
        ("allowed_ports", "", "there is no port in it.", ports),
        (
            "proxy",
            "https://proxy:3128",
            "URL of a proxy has a scheme other than http.",
            proxy,
        ),
        (
            "proxy",
            "http://u:p@proxy",
            "URL contains a user name or password.",
            proxy,
        ),
    ] {
        let set = format!("alter system set hooks.{name} = '{value}'");
        let error = site.client.batch_execute(&set).expect_err(&set);
        let error = error.as_db_error().expect("the server answers");
        assert_eq!(error.code().code(), "22023");
        assert_eq!(
            (error.detail(), error.hint()),
            (Some(detail), Some(hint)),
            "{set}"
        );
    }
}
