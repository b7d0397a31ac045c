//! Repairing messages whose headers are as long as they may be.

use pg_hooks_tests::site::Site;

use crate::letters::bury;

/// Eight of 8191 bytes with their names, and one of eight: 64 kB.
const LONGEST: &str =
    "(select jsonb_object_agg('x-' || n, repeat('x', 8188)) from generate_series(1, 8) as n)
    || jsonb_build_object('y', repeat('x', 7))";

#[test]
fn headers_that_are_as_long_as_they_may_be_keep_no_message_from_being_redriven_or_replayed() {
    let mut site = Site::new();
    site.queue("q", ", active => false, keep_bodies => true");
    bury(&mut site, "q", 1);
    site.run(&format!("update hooks.dead_letter set headers = {LONGEST}"));
    assert_eq!(site.value::<i64>("select hooks.redrive(queue => 'q')"), 1);
    let redriven: bool =
        site.value("select bool_and(headers ? 'x-8' and headers ? 'hooks-redriven') from hooks.message");
    assert!(redriven);

    site.run(&format!(
        "delete from hooks.message;
         insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at, kept, headers, body)
         select nextval('hooks.message_id_seq'), q.id, 'delivered', 1, now(), now(), now(), true, {LONGEST}, 'x'
         from hooks.queue as q"
    ));
    let replay = "select hooks.replay('q', now() - interval '1 hour', clock_timestamp() + interval '1 hour')";
    assert_eq!(site.value::<i64>(replay), 1);
}
