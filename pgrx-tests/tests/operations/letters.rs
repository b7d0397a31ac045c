//! Dead letters for tests: real ones, and many that are put into the table.

use pg_hooks_tests::site::Site;

/// Puts `count` dead letters of a queue into the table, with the bodies 1 to `count`. The first died a day
/// before now, each further one a second later. Gives their ids.
#[track_caller]
pub fn bury(site: &mut Site, queue: &str, count: i32) -> Vec<i64> {
    bury_with(site, queue, count, "null")
}

/// As [`bury`], with this expression of n as the ordering key.
#[track_caller]
pub fn bury_with(site: &mut Site, queue: &str, count: i32, key: &str) -> Vec<i64> {
    site.column(&format!(
        "insert into hooks.dead_letter (id, queue_id, attempts, error_class, created_at, due_at, dead_at, body,
           ordering_key)
         select nextval('hooks.message_id_seq'), hooks.queue_id('{queue}'), 3, 'status', now(), now(),
                now() - interval '1 day' + n * interval '1 second', n::text, {key}
         from generate_series(1, {count}) as n
         returning id"
    ))
}

/// How many dead letters there are.
#[track_caller]
pub fn left(site: &mut Site) -> i64 {
    site.value("select count(*) from hooks.dead_letter")
}
