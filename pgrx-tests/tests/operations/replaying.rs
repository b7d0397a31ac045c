//! Sending once more what was delivered.

use pg_hooks_tests::site::Site;
use postgres::error::SqlState;

const HOUR: &str = "now() - interval '1 hour'";

/// A time of the past, the same in each statement.
fn past(site: &mut Site) -> String {
    site.value("select format('timestamptz %L', date_trunc('minute', now()) - interval '1 hour')")
}

fn delivered(site: &mut Site, queue: &str, count: i64) {
    site.wait_until(&format!(
        "select count(*) = {count} from hooks.message_log where queue_id = hooks.queue_id('{queue}')"
    ));
}

#[test]
fn replayed_messages_are_new_ones_that_say_what_they_repeat() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.run(
        r#"select hooks.send('q', 'first', headers => '{"x-a": "b"}');
           select hooks.send('q', '\x00ff'::bytea)"#,
    );
    delivered(&mut site, "q", 2);
    let first = site.arrivals("q", 2);
    assert_eq!(site.value::<i64>(&format!("select hooks.replay('q', {HOUR})")), 2);
    let again = &site.arrivals("q", 4)[2..];
    for original in &first {
        let repeated = again
            .iter()
            .find(|request| request.header("hooks-replay-of") == original.webhook_id())
            .expect("it is repeated");
        assert_eq!(
            (&repeated.body, repeated.header("x-a")),
            (&original.body, original.header("x-a"))
        );
        assert_ne!(repeated.webhook_id(), original.webhook_id());
        assert_eq!(repeated.attempt(), Some(1));
    }
}

#[test]
fn time_of_delivery_and_number_say_what_is_replayed() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.queue("other", "");
    site.run("select hooks.send_batch('q', array['1', '2', '3'])");
    delivered(&mut site, "q", 3);
    let past = past(&mut site);
    site.run(&format!(
        "update hooks.message_log
         set finished_at = {past} + id * interval '1 second'
         where queue_id = hooks.queue_id('q')",
    ));
    let call = format!(
        "select hooks.replay('q', {past} + interval '2 s', {past} + interval '3 s', to_queue => 'other')"
    );
    assert_eq!(site.value::<i64>(&call), 1);
    assert_eq!(site.arrival("other").text(), "2");
    let call =
        format!("select hooks.replay('q', {past}, row_limit => 2, at => now() + interval '1 h', rate => 1)");
    assert_eq!(site.value::<i64>(&call), 2);
    // The message of the other queue may have arrived and not be recorded yet.
    let of_q = "from hooks.message where queue_id = hooks.queue_id('q')";
    let waiting: Vec<String> = site.column(&format!("select body {of_q} order by due_at"));
    assert_eq!(waiting, ["1", "2"]);
    let apart: bool = site.value(&format!(
        "select max(due_at) - min(due_at) = interval '1 s' {of_q}"
    ));
    assert!(apart);
}

#[test]
fn replay_of_an_event_sends_its_payload_in_its_envelope() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.run("select hooks.subscribe('a.b', 'q', envelope => 'standard'); select hooks.publish('a.b', '{\"x\": 1}')");
    delivered(&mut site, "q", 1);
    assert_eq!(site.value::<i64>(&format!("select hooks.replay('q', {HOUR})")), 1);
    let arrived = site.arrivals("q", 2);
    assert_eq!(arrived[0].text(), arrived[1].text());
}

#[test]
fn what_was_not_kept_or_not_delivered_is_not_replayed() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    delivered(&mut site, "q", 1);
    site.run("select hooks.alter_queue('q', keep_bodies => true, active => false)");
    site.run("select hooks.cancel(hooks.send('q', 'x', at => '2100-01-01'))");
    assert_eq!(site.value::<i64>(&format!("select hooks.replay('q', {HOUR})")), 0);
    for arguments in [
        "'q', null",
        "'q', now(), now() - interval '1 s'",
        "'q', '-infinity', row_limit => 0",
        "'q', '-infinity', rate => 0",
        "'q', '-infinity', at => 'infinity'",
    ] {
        let refused = site.refusal(&format!("select hooks.replay({arguments})"));
        assert_eq!(
            refused.code,
            SqlState::INVALID_PARAMETER_VALUE.code(),
            "{arguments}"
        );
    }
}

/// The queue refuses the fourth, whatever else there is.
#[test]
fn replay_to_a_full_queue_stores_what_fits_and_tells_where_to_go_on() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.run("select hooks.send_batch('q', array['1', '2', '3', '4', '5'])");
    delivered(&mut site, "q", 5);
    let past = past(&mut site);
    site.run(&format!(
        "update hooks.message_log set finished_at = {past} + id * interval '1 second';
         select hooks.alter_queue('q', max_messages => 3, active => false)",
    ));
    let replay = format!("select hooks.replay('q', {past}, rate => 1)");
    assert_eq!(site.value::<i64>(&replay), 3);
    let stored = "select string_agg(body, ',' order by due_at) from hooks.message";
    assert_eq!(site.value::<String>(stored), "1,2,3");
    site.run("delete from hooks.message; select hooks.alter_queue('q', max_messages => 10)");
    let rest = format!("select hooks.replay('q', {past} + interval '4 seconds')");
    assert_eq!(site.value::<i64>(&rest), 2);
    assert_eq!(site.value::<String>(stored), "4,5");
}

#[test]
fn message_that_is_larger_than_the_queue_does_not_end_a_replay() {
    for overflow in ["refuse", "drop_oldest"] {
        let mut site = Site::new();
        site.queue("q", ", keep_bodies => true");
        site.queue(
            "small",
            &format!(", active => false, max_bytes => 10, overflow => '{overflow}'"),
        );
        site.run("select hooks.send_batch('q', array['1', repeat('x', 20), '2'])");
        delivered(&mut site, "q", 3);
        let past = past(&mut site);
        site.run(&format!(
            "update hooks.message_log set finished_at = {past} + id * interval '1 second'",
        ));
        let replay = format!("select hooks.replay('q', {past}, to_queue => 'small')");
        assert_eq!(site.value::<i64>(&replay), 2, "{overflow}");
        let stored: String = site.value("select string_agg(body, ',' order by id) from hooks.message");
        assert_eq!(stored, "1,2", "{overflow}");
    }
}

#[test]
fn messages_that_cannot_be_stored_any_more_are_passed_over_by_a_replay() {
    for limits in ["", ", max_messages => 10"] {
        let mut site = Site::new();
        site.queue("q", ", keep_bodies => true");
        site.queue("target", &format!(", active => false{limits}"));
        site.run("select hooks.send_batch('q', array['1', '2', '3', '4', '5'])");
        delivered(&mut site, "q", 5);
        let past = past(&mut site);
        site.run(&format!(
            "update hooks.message_log set finished_at = {past} + id * interval '1 second',
               headers = case id when 2 then '{{\"host\": \"x\"}}'::jsonb end,
               ordering_key = case id when 4 then repeat('k', 2000) end"
        ));
        let replay = format!("select hooks.replay('q', {past}, to_queue => 'target', rate => 1)");
        assert_eq!(site.value::<i64>(&replay), 3, "{limits}");
        let stored: String = site.value("select string_agg(body, ',' order by due_at) from hooks.message");
        assert_eq!(stored, "1,3,5");
        let apart: bool = site.value("select max(due_at) - min(due_at) = interval '2 s' from hooks.message");
        assert!(apart, "those that are passed over leave no gap");
    }
}
