//! A tick that comes while the last message is unfinished.

use pg_hooks_tests::Behaviour;

use crate::site::{INVALID, Site, assert_each_once};

#[test]
fn overlap_skip_leaves_ticks_out_while_a_message_is_unfinished() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '60 s'");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', overlap => 'skip')");
    let first = site.wait_for_ticks("q", 1)[0].clone();
    // Ticks go on and are left out.
    site.wait_until("select next_run_at > last_run_at + interval '3 s' from hooks.cron");
    let stored: i64 = site.value("select count(*) from hooks.message");
    assert_eq!(stored, 1);
    site.receiver.on("/q", Behaviour::status(200));
    site.receiver.release("/q");
    let ticks = site.wait_for_ticks("q", 3);
    assert_each_once(&ticks);
    assert_eq!(ticks[0], first);
    assert!(ticks[1].at >= first.at + 3, "{ticks:?}");
}

#[test]
fn overlap_skip_looks_at_the_entry_and_not_at_its_queue() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '60 s'");
    site.run(
        "select hooks.schedule('a', 'q', '@yearly', overlap => 'skip');
         select hooks.schedule('b', 'q', '@yearly', overlap => 'skip');
         update hooks.cron set next_run_at = now() where name = 'a'",
    );
    site.wait_for_ticks("q", 1);
    site.run("update hooks.cron set next_run_at = now()");
    site.wait_until("select bool_and(next_run_at > now()) from hooks.cron");
    let stored: i64 = site.value("select count(*) from hooks.message");
    assert_eq!(stored, 2);
}

#[test]
fn overlap_is_allowed_by_default() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '60 s'");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', missed => 'all')");
    site.wait_for_ticks_each("q", 3, 1);
    let stored: i64 = site.value("select count(*) from hooks.message");
    assert!(stored >= 3);
}

/// Else the first of the missed ones would keep the others out.
#[test]
fn overlap_skip_makes_up_for_the_latest_missed_tick_only() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@yearly', missed => 'all', overlap => 'skip');
         update hooks.cron set next_run_at = '2020-01-01 00:00+00'",
    );
    site.wait_until("select next_run_at > now() from hooks.cron");
    site.settle();
    let made: bool = site.value(
        "select count(*) = 1 and min(c.last_run_at) = date_trunc('year', now() at time zone 'UTC') at time zone 'UTC'
         from hooks.message_log cross join hooks.cron as c",
    );
    assert!(made);
}

#[test]
fn policies_that_are_not_known_are_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut refused = |arguments: &str, message: &str, hint: &str| {
        site.assert_refused(
            &format!("select hooks.schedule('a', 'q', '@daily', {arguments})"),
            INVALID,
            message,
            hint,
        );
    };
    let overlap = "Use allow, or skip to leave a tick out while a message of the entry is unfinished.";
    refused("overlap => 'no'", "overlap \"no\" is not known", overlap);
    refused("overlap => null", "overlap null is not known", overlap);
    refused(
        "missed => 'some'",
        "missed policy \"some\" is not known",
        "Use skip, once or all.",
    );
    for limit in ["0", "1001", "null"] {
        refused(
            &format!("missed_limit => {limit}"),
            "missed_limit must be between 1 and 1000",
            "Leave it out to make up for at most 100 ticks.",
        );
    }
}
