//! Several who repair at the same time, and very many letters.

use std::thread;

use pg_hooks_tests::site::{Site, run, value};

use crate::letters::{bury, left};

#[test]
fn each_letter_is_taken_once_by_calls_at_the_same_time() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    bury(&mut site, "q", 5_000);
    let calls = [
        "select hooks.redrive(queue => 'q')",
        "select hooks.purge(queue => 'q')",
        "select hooks.redrive(since => '-infinity')",
        "select hooks.purge(ids => array(select id from hooks.dead_letter order by id desc))",
    ];
    let counts: Vec<i64> = thread::scope(|scope| {
        let calls = calls.map(|call| {
            let mut client = site.connect();
            scope.spawn(move || value::<i64>(&mut client, call))
        });
        calls.map(|call| call.join().expect("a call failed")).to_vec()
    });
    assert_eq!(left(&mut site), 0);
    assert_eq!(counts.iter().sum::<i64>(), 5_000, "{counts:?}");
    let redriven: i64 = site.value("select count(*) from hooks.message");
    let purged: i64 = site.value("select count(*) from hooks.message_log where state = 'dead'");
    assert_eq!((redriven, purged), (counts[0] + counts[2], counts[1] + counts[3]));
}

#[test]
fn letters_of_all_queues_are_taken_in_the_order_of_their_deaths() {
    let mut site = Site::new();
    site.queue("first", ", active => false");
    site.queue("second", ", active => false");
    site.run("begin");
    bury(&mut site, "first", 3);
    bury(&mut site, "second", 3);
    site.run("commit");
    site.run("update hooks.dead_letter set dead_at = dead_at - interval '0.5 s' where queue_id = hooks.queue_id('second')");
    assert_eq!(
        site.value::<i64>("select hooks.purge(since => '-infinity', row_limit => 3)"),
        3
    );
    let left: Vec<String> =
        site.column("select hooks.queue_name(queue_id) || body from hooks.dead_letter order by dead_at");
    assert_eq!(left, ["first2", "second3", "first3"]);
    assert_eq!(
        site.value::<i64>("select hooks.redrive(since => '-infinity', rate => 1)"),
        3
    );
    let due: Vec<String> =
        site.column("select hooks.queue_name(queue_id) || body from hooks.message order by due_at");
    assert_eq!(due, left);
}

#[test]
fn letters_that_another_call_holds_are_left_to_it() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    bury(&mut site, "q", 3);
    let mut other = site.connect();
    run(
        &mut other,
        "begin; select hooks.redrive(queue => 'q', row_limit => 1)",
    );
    assert_eq!(site.value::<i64>("select hooks.purge(queue => 'q')"), 2);
    run(&mut other, "rollback");
    assert_eq!(site.column::<String>("select body from hooks.dead_letter"), ["1"]);
}

#[test]
fn letters_that_die_meanwhile_are_left_for_another_time() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    bury(&mut site, "q", 2_000);
    site.run("begin isolation level read committed; select hooks.redrive(queue => 'q', row_limit => 1500)");
    let mut other = site.connect();
    run(
        &mut other,
        "insert into hooks.dead_letter (id, queue_id, attempts, created_at, due_at, dead_at)
         select 1000000, id, 1, now(), now(), now() from hooks.queue",
    );
    assert_eq!(
        site.value::<i64>("select hooks.redrive(queue => 'q', until => now())"),
        500
    );
    site.run("commit");
    assert_eq!(left(&mut site), 1);
}
