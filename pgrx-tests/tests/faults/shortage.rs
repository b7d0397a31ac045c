//! A machine that has no socket for a while.

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::site::{SOON, Site, value};
use pg_hooks_tests::{Cluster, wait_until};

#[test]
fn what_becomes_of_messages_that_wait_for_a_socket_is_heeded() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    cluster.set_faults("socket: permit:always");
    for body in ["cancelled", "put off", "sent"] {
        site.run(&format!("select hooks.send('q', '{body}')"));
    }
    wait_until("a complaint", SOON, || {
        cluster.log().contains("; deliveries wait")
    });
    site.run(
        "select hooks.cancel(id) from hooks.message where body = 'cancelled'; \
         update hooks.message set due_at = '2100-01-01' where body = 'put off'",
    );
    // By then the others have been given back by who waited to send them.
    site.run("select hooks.send('q', 'expires', expires_at => now() + '3 s')");
    site.wait_until("select exists (select from hooks.message_log where state = 'expired')");
    cluster.set_faults("");
    site.wait_until("select exists (select from hooks.message_log where state = 'delivered')");
    assert_eq!(site.arrival("q").body, b"sent");
    assert_eq!(
        site.column::<String>("select state from hooks.message_log order by id"),
        ["cancelled", "delivered", "expired"]
    );
}

/// After a crash, an attempt is counted against its message before it begins, in case the worker dies of it.
#[test]
fn messages_that_got_no_socket_after_a_crash_are_not_blamed_for_it() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    site.wait_until("select exists (select from hooks.worker where leader)");
    cluster.set_faults("socket: permit:always");
    site.run("select hooks.send('q', n::text) from generate_series(1, 3) as n");
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    assert!(signal(leader, Signal::KILL));
    let counted = "select coalesce(max(deaths), 0)::bigint from hooks.message";
    wait_until("an attempt to be counted", SOON, || {
        let mut client = cluster.try_connect("postgres", &site.database).ok()?;
        let count = client.query_one(counted, &[]).ok()?.get::<_, i64>(0);
        (count > 0).then_some(())
    });
    site.client = cluster.connect(&site.database);
    // Each thread asks twenty times a second, and gives its job back after one.
    let before = cluster.strikes("socket: permit");
    wait_until("jobs to be given back several times", SOON, || {
        cluster.strikes("socket: permit") > before + 300
    });
    assert_eq!(
        value::<i64>(&mut site.client, "select count(*) from hooks.dead_letter"),
        0
    );
    cluster.set_faults("");
    site.settle();
    let delivered = "select count(*) from hooks.message_log where state = 'delivered'";
    assert_eq!(value::<i64>(&mut site.client, delivered), 3);
}

#[test]
fn message_that_got_no_socket_uses_up_nothing_of_the_rate_of_its_queue() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue(
        "q",
        ", rate_limit => 2, rate_interval => '1 hour', rate_burst => 2",
    );
    site.wait_until("select exists (select from hooks.worker where leader)");
    cluster.set_faults("socket: permit:always");
    site.run("select hooks.send('q', 'x')");
    // A thread asks twenty times a second, and gives its job back after one.
    wait_until("the job to be given back several times", SOON, || {
        cluster.strikes("socket: permit") > 100
    });
    cluster.set_faults("");
    site.arrivals("q", 1);
}

#[test]
fn message_that_expires_while_it_waits_for_a_socket_is_not_sent() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    site.wait_until("select exists (select from hooks.worker where leader)");
    cluster.set_faults("socket: permit:always");
    site.run("select hooks.send('q', 'x', expires_at => now() + interval '300 ms')");
    site.wait_until("select not exists (select from hooks.message where expires_at > clock_timestamp())");
    cluster.set_faults("");
    site.wait_until("select exists (select from hooks.message_log where state = 'expired')");
    assert_eq!(site.arrived("q"), 0);
}
