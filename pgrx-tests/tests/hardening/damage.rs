//! Rows that cannot be read or moved: they stop no other.

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::wait_until;

use crate::site::{SOON, Site, run};

/// Makes what `column` holds of a row unreadable: the chunks that it is stored in are gone.
#[track_caller]
fn lose_chunks(site: &mut Site<'_>, table: &str) {
    site.run("create extension if not exists pg_surgery");
    site.run(&format!(
        "do $$
         declare
           toast constant regclass := reltoastrelid from pg_class where oid = '{table}'::regclass;
           pages constant bigint := pg_relation_size(toast) / current_setting('block_size')::bigint;
         begin
           perform heap_force_kill(toast, array(
             select format('(%s,%s)', page, line)::tid
             from generate_series(0, pages - 1) as page, generate_series(1, 4) as line));
         end
         $$"
    ));
}

/// Random, so that it is not compressed away: such a value is stored out of line.
const LARGE: &str = "(select string_agg(md5(random()::text), '') from generate_series(1, 300))";

#[test]
fn queue_whose_row_cannot_be_read_keeps_no_other_from_being_loaded() {
    let mut site = Site::new();
    site.queue("other", "");
    site.queue("damaged", "");
    // Beyond what a duration of ours holds; only a superuser gets it past the checks.
    site.run(
        "set session_replication_role = replica;
         update hooks.queue set timeout = '10000000 years' where name = 'damaged';
         reset session_replication_role",
    );
    let leader = site.leader();
    assert!(signal(leader, Signal::TERM));
    site.wait_until(&format!(
        "select exists (select from hooks.worker where leader and pid <> {leader})"
    ));
    site.send("other", "x");
    site.arrival("other");
    site.wait_until(
        "select exists (select from hooks.queue_state as s join hooks.queue as q on q.id = s.queue_id
                        where q.name = 'damaged' and s.state = 'held' and s.reason like '%out of range%')",
    );
    let waiting = site.send("damaged", "x");
    site.run("update hooks.queue set timeout = '10 s' where name = 'damaged'");
    site.arrival("damaged");
    site.wait_until(&format!(
        "select not exists (select from hooks.message where id = {waiting})"
    ));
}

#[test]
fn message_whose_body_is_lost_is_parked_and_the_others_go_on() {
    let mut site = Site::new();
    site.queue("other", "");
    site.queue("damaged", ", active => false");
    site.run(&format!("select hooks.send('damaged', {LARGE})"));
    lose_chunks(&mut site, "hooks.message");
    let intact = site.send("damaged", "intact");
    site.run("select hooks.resume('damaged')");
    site.arrival("damaged");
    wait_until("a line of the log", SOON, || {
        site.cluster.log().contains("which is parked: missing chunk")
    });
    let mut client = site.connect();
    for _ in 0..10 {
        site.assert_prompt(&mut client, "other");
    }
    site.wait_until(&format!(
        "select array_agg(id <> {intact}) = '{{t}}' from hooks.message"
    ));
}

#[test]
fn message_of_a_dropped_queue_that_cannot_be_moved_keeps_no_other_from_the_dead_letters() {
    let mut site = Site::new();
    site.queue("dropped", ", active => false");
    site.run(&format!("select hooks.send('dropped', {LARGE})"));
    lose_chunks(&mut site, "hooks.message");
    for _ in 0..3 {
        site.send("dropped", "intact");
    }
    // As a drop does that does not see what is being stored.
    let mut client = site.connect();
    run(
        &mut client,
        "begin; set local session_replication_role = replica; delete from hooks.queue where name = 'dropped'; commit;
         select hooks.announce()",
    );
    assert_eq!(site.dead_letters(3), ["queue_dropped"; 3]);
    site.queue("other", "");
    let mut client = site.connect();
    site.assert_prompt(&mut client, "other");
}
