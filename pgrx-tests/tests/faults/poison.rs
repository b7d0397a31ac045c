//! Messages of which the process dies, or that its code does not understand: they end, and others flow.

use pg_hooks_tests::site::Site;
use pg_hooks_tests::{Cluster, wait_until};

use crate::village::LATE;

fn site() -> (Site, &'static Cluster) {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    for name in ["poison", "good"] {
        site.queue(name, ", min_backoff => '100 ms', max_backoff => '100 ms'");
    }
    site.wait_until("select exists (select from hooks.worker where leader)");
    (site, cluster)
}

/// The cause of the only dead letter, as soon as there is one, whatever becomes of the server meanwhile.
fn cause_of_death(cluster: &Cluster, database: &str) -> (String, String) {
    wait_until("the dead letter", LATE, || {
        let mut client = cluster.try_connect("postgres", database).ok()?;
        let query = "select error_class, last_error from hooks.dead_letter";
        let rows = client.query(query, &[]).ok()?;
        rows.first().map(|row| (row.get(0), row.get(1)))
    })
}

#[test]
fn message_of_which_the_process_dies_is_a_dead_letter_after_three_deaths_and_others_flow() {
    let (mut site, cluster) = site();
    cluster.set_faults("attempt: die:always=poison");
    site.run(
        "begin;
         select hooks.send('good', 'before ' || n) from generate_series(1, 10) as n;
         select hooks.send('poison', 'a poison');
         select hooks.send('good', 'after ' || n) from generate_series(1, 10) as n;
         commit",
    );
    let (class, error) = cause_of_death(cluster, &site.database);
    assert_eq!(
        (class.as_str(), error.as_str()),
        (
            "worker_died",
            "the worker died 3 times while it sent this message (limit 3)"
        )
    );
    assert_eq!(cluster.strikes("attempt: die"), 3);
    site.client = cluster.connect(&site.database);
    site.run("select hooks.send('good', 'later')");
    site.settle();
    let delivered: i64 = site.value("select count(*) from hooks.message_log where state = 'delivered'");
    assert_eq!(delivered, 21);
    assert!(
        site.arrivals("good", 21)
            .iter()
            .any(|request| request.text() == "later")
    );
    assert_eq!(site.arrived("poison"), 0);
}

#[test]
fn row_that_our_code_does_not_understand_is_a_dead_letter_and_stops_no_other() {
    let (mut site, cluster) = site();
    let started: String = site.value("select pg_postmaster_start_time()::text");
    cluster.set_faults("message: decode:always=poison");
    site.run(
        "begin;
         select hooks.send('good', 'before');
         select hooks.send('poison', 'small poison'), hooks.send('poison', 'large poison' || repeat(' ', 20000));
         select hooks.send('poison', 'poison with a key', ordering_key => 'k');
         select hooks.send('poison', 'next of the key', ordering_key => 'k');
         select hooks.send('poison', 'other'), hooks.send('good', 'after');
         commit",
    );
    site.settle();
    assert_eq!((site.arrived("good"), site.arrived("poison")), (2, 2));
    let causes =
        site.column::<String>("select distinct error_class || ': ' || last_error from hooks.dead_letter");
    assert!(
        causes.len() == 1 && causes[0].starts_with("unreadable: panic at src/store/message.rs:"),
        "{causes:?}"
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 3);
    assert_eq!(
        site.value::<String>("select pg_postmaster_start_time()::text"),
        started
    );
}

const CANARY: &str = "canary-in-a-coal-mine";

#[test]
fn panic_in_an_attempt_tells_its_place_and_no_secret() {
    let (mut site, cluster) = site();
    site.run(&format!(
        "select hooks.set_secret('poison', '{CANARY}-1', 'bearer'), hooks.set_secret('poison', '{CANARY}-2-long-enough-for-it', 'signing');
         select hooks.alter_queue('poison', headers => '{{\"x-secret\": \"{CANARY}-3\"}}', max_attempts => 2)"
    ));
    cluster.set_faults("attempt: panic:always");
    site.run(&format!("select hooks.send('poison', '{CANARY}-4')"));
    let (class, error) = cause_of_death(cluster, &site.database);
    assert_eq!(class, "fault");
    assert!(error.starts_with("panic at src/deliver/exchange.rs:"), "{error}");
    let attempts: String = site.value("select string_agg(a::text, e'\\n') from hooks.attempt as a");
    let log = cluster.log();
    assert!(
        log.contains("pg_hooks: panic at src/deliver/exchange.rs:"),
        "{log}"
    );
    assert!(
        !attempts.contains(CANARY) && !error.contains(CANARY),
        "{attempts}"
    );
    // Statements that users send with secrets in them fail here, and are not logged.
    assert!(!log.contains(CANARY), "{log}");
}
