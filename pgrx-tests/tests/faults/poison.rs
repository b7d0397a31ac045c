//! Messages of which the process dies, or that its code does not understand: they end, and others flow.

use pg_hooks_tests::site::{Site, run, value};
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

/// Memory that belongs to a process alone, in kB.
fn memory(pid: i32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .expect("its memory");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

#[test]
fn memory_of_the_leader_comes_back_to_its_level_after_thousands_of_faults() {
    let cluster = Cluster::builder()
        .faulty()
        .setting("hooks.max_in_flight", "16")
        .start();
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let mut site = Site::on(cluster);
    site.queue(
        "q",
        ", max_attempts => 100, min_backoff => '10 ms', max_backoff => '10 ms', breaker_min_requests => 10000",
    );
    cluster.set_faults(
        "message::FETCH:every 2=22000, attempt: panic:every 5, socket: connect:every 7=111, socket: read:every 9, \
         socket: write:every 11, thread: io:every 2",
    );
    let mut round = || {
        site.run("select hooks.send('q', repeat('body ', 100)) from generate_series(1, 500)");
        site.settle();
        memory(site.value("select pid from hooks.worker where leader"))
    };
    let levels: Vec<i64> = (0..6).map(|_| round()).collect();
    let faults: usize = cluster.struck().iter().map(|(_, times)| times).sum();
    assert!(faults > 1000, "{faults} faults");
    let grown = levels[5] - levels[1];
    assert!(grown < 4096, "{grown} kB more after {faults} faults: {levels:?}");
}

/// A call that fails in any of its statements leaves the session as it was: the same call then succeeds.
#[test]
fn function_that_fails_in_any_of_its_statements_succeeds_afterwards_in_the_same_session() {
    let (site, cluster) = site();
    let mut client = cluster.connect(&site.database);
    run(&mut client, "create table orders (id int primary key)");
    let url = site.receiver.url("/good");
    let calls = [
        "select hooks.send('good', 'x', idempotency_key => 'k')".to_owned(),
        "select hooks.send_batch('good', array['x', 'y'])".to_owned(),
        "select hooks.publish('order.made', '{}')".to_owned(),
        "insert into hooks.message (queue_id, body) select id, 'x' from hooks.queue where name = 'good'".to_owned(),
        "create trigger t after insert on orders for each row execute function hooks.emit('good'); insert into orders values (1); drop trigger t on orders; delete from orders".to_owned(),
        format!("select hooks.create_queue('new', '{url}'); select hooks.drop_queue('new')"),
        "select hooks.set_secret('good', 'token', 'bearer'), hooks.remove_secret('good', 'bearer')".to_owned(),
    ];
    let mut failed = 0;
    for call in &calls {
        for nth in 1..20 {
            let before = cluster.strikes("session: statement");
            run(
                &mut client,
                &format!("set hooks.faults = 'session: statement:{nth}'"),
            );
            let outcome = client.batch_execute(&format!("begin; {call}; commit"));
            run(&mut client, "rollback; set hooks.faults = ''");
            let struck = cluster.strikes("session: statement") > before;
            assert_eq!(outcome.is_err(), struck, "{call}: {outcome:?}");
            if !struck {
                break;
            }
            failed += 1;
            run(&mut client, &format!("begin; {call}; rollback"));
        }
    }
    assert!(failed >= 5, "{failed} failures");
    assert_eq!(value::<i64>(&mut client, "select count(*) from orders"), 0);
}
