//! What commits is sent, and nothing else is.

use std::collections::BTreeSet;
use std::time::Instant;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::wait_until;

use crate::site::{SOON, Site, ms, refusal, run};

/// Runs a script, then asserts that of queue `q` exactly these bodies arrive, each once.
#[track_caller]
fn assert_sends(site: &mut Site, script: &str, bodies: &[&str]) {
    run(&mut site.client, script);
    // What was sent before the last message has arrived when everything is delivered.
    site.send("q", "the end");
    site.arrivals("q", bodies.len() + 1);
    site.wait_until("select not exists (select from hooks.message)");
    let arrived = site.receiver.requests("/q");
    let texts: BTreeSet<_> = arrived.iter().map(|request| request.text()).collect();
    assert_eq!(texts, bodies.iter().copied().chain(["the end"]).collect());
    assert_eq!(arrived.len(), bodies.len() + 1);
}

fn site() -> Site {
    let mut site = Site::settled();
    site.queue("q", "");
    site
}

#[test]
fn rolled_back_message_is_not_sent() {
    assert_sends(
        &mut site(),
        "begin; select hooks.send('q', 'never'); insert into hooks.message (queue_id) select id from hooks.queue; rollback",
        &[],
    );
}

#[test]
fn rollback_to_a_savepoint_takes_back_what_came_after_it() {
    assert_sends(
        &mut site(),
        "begin;
         select hooks.send('q', 'before');
         savepoint a;
         select hooks.send('q', 'never');
         savepoint b;
         select hooks.send('q', 'never');
         release b;
         rollback to a;
         select hooks.send('q', 'after');
         savepoint c;
         select hooks.send('q', 'released');
         release c;
         commit",
        &["before", "after", "released"],
    );
}

#[test]
fn exception_block_takes_back_what_was_sent_in_it() {
    assert_sends(
        &mut site(),
        "do $$
         begin
           perform hooks.send('q', 'outside');
           begin
             perform hooks.send('q', 'never');
             perform 1 / 0;
           exception when division_by_zero then
             perform hooks.send('q', 'handler');
           end;
         end
         $$",
        &["outside", "handler"],
    );
}

#[test]
fn failed_statement_takes_its_messages_back() {
    let mut site = site();
    let half = "select hooks.send('q', (10 / (3 - n))::text) from generate_series(1, 5) as n";
    assert_eq!(refusal(&mut site.client, half), "22012");
    assert_sends(&mut site, "select", &[]);
}

#[test]
fn procedure_sends_with_each_of_its_commits() {
    assert_sends(
        &mut site(),
        "do $$
         begin
           perform hooks.send('q', 'first');
           commit;
           perform hooks.send('q', 'never');
           rollback;
           perform hooks.send('q', 'second');
         end
         $$",
        &["first", "second"],
    );
}

#[test]
fn triggers_send_with_the_transaction_that_fires_them() {
    assert_sends(
        &mut site(),
        "create table t (x text);
         create function tell() returns trigger language plpgsql
           as $$ begin perform hooks.send('q', tg_name || ' ' || new.x); return new; end $$;
         create trigger at_once after insert on t for each row execute function tell();
         create constraint trigger at_commit after insert on t initially deferred
           for each row execute function tell();
         begin; insert into t values ('a'); commit;
         begin; insert into t values ('b'); rollback",
        &["at_once a", "at_commit a"],
    );
}

#[test]
fn message_is_not_sent_before_its_commit_and_late_commits_are_not_missed() {
    let mut site = site();
    let mut late = site.connect();
    run(&mut late, "begin; select hooks.send('q', 'late')");
    // These are due later and are delivered first.
    for n in 1..=5 {
        site.send("q", "early");
        site.arrivals("q", n);
    }
    never_within("it was sent before the commit", ms(200), || site.arrived("q") > 5);
    run(&mut late, "commit");
    assert_eq!(site.arrivals("q", 6)[5].text(), "late");
}

#[test]
fn prepared_message_is_sent_soon_after_commit_prepared_and_never_after_rollback_prepared() {
    let mut site = site();
    let [kept, dropped] = ["kept", "dropped"].map(|name| format!("{} {name}", site.database));
    for (gid, body) in [(&kept, "kept"), (&dropped, "never")] {
        site.run(&format!(
            "begin; select hooks.send('q', '{body}'); prepare transaction '{gid}'"
        ));
    }
    never_within("a prepared message was sent", ms(700), || site.arrived("q") > 0);
    // By a session that has nothing to do with it.
    let mut other = site.connect();
    run(&mut other, &format!("rollback prepared '{dropped}'"));
    run(&mut other, &format!("commit prepared '{kept}'"));
    let begun = Instant::now();
    assert_eq!(site.arrival("q").text(), "kept");
    assert!(begun.elapsed() < ms(10_000), "{:?}", begun.elapsed());
    assert_sends(&mut site, "select", &["kept"]);
}

#[test]
fn message_of_a_session_that_ends_before_its_commit_is_not_sent() {
    let mut site = site();
    // A client that goes away, and one that an administrator ends.
    let mut gone = site.connect();
    run(&mut gone, "begin; select hooks.send('q', 'never')");
    drop(gone);
    let mut ended = site.connect();
    run(&mut ended, "begin; select hooks.send('q', 'never')");
    let pid: i32 = ended.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    site.run(&format!("select pg_terminate_backend({pid}, 10000)"));
    wait_until("the sessions to end", SOON, || {
        let others = "select count(*) from pg_stat_activity where backend_type = 'client backend'
                      and datname = current_database() and pid <> pg_backend_pid()";
        site.value::<i64>(others) == 0
    });
    assert_sends(&mut site, "select", &[]);
}

#[test]
fn message_of_another_database_is_not_ours() {
    let (mut here, mut there) = (site(), site());
    let id = here.send("q", "here");
    assert_eq!(here.arrival("q").text(), "here");
    here.wait_for_state(id, "delivered");
    assert_eq!(there.arrived("q"), 0);
    assert_eq!(there.send("q", "there"), id);
    let [ours, theirs] = [&here, &there].map(|site| site.arrival("q").webhook_id().map(str::to_owned));
    assert_ne!(ours, theirs);
}
