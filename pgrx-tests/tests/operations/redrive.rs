//! Sending dead letters again: which ones, where to, when.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Refusal, Site, row};
use postgres::error::SqlState;

use crate::letters::{bury, bury_with, left};

fn refused(site: &mut Site, call: &str) -> String {
    let Refusal { code, message, hint } = site.refusal(&format!("select {call}"));
    assert_eq!(
        code,
        SqlState::INVALID_PARAMETER_VALUE.code(),
        "{call}: {message}"
    );
    assert!(!hint.is_empty(), "{call}");
    message
}

fn bodies(site: &Site, queue: &str, count: usize) -> Vec<String> {
    let mut bodies: Vec<String> = site
        .arrivals(queue, count)
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    bodies.sort();
    bodies
}

#[test]
fn dead_letter_is_shown_with_cause_and_contents() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(503));
    site.queue("q", ", max_attempts => 1");
    site.run(r#"select hooks.send('q', 'the body', headers => '{"x-a": "b"}', ordering_key => 'k')"#);
    site.wait_until("select exists (select from hooks.dead_letter)");
    let letter = row(
        &mut site.client,
        "select queue, attempts, last_status, error_class, redriven, body, ordering_key from hooks.show_dead_letter(1)",
    );
    assert_eq!(
        (
            letter.get::<_, &str>(0),
            letter.get::<_, i32>(1),
            letter.get::<_, i16>(2)
        ),
        ("q", 1, 503)
    );
    assert_eq!((letter.get::<_, &str>(3), letter.get::<_, i32>(4)), ("status", 0));
    assert_eq!(
        (letter.get::<_, &str>(5), letter.get::<_, &str>(6)),
        ("the body", "k")
    );
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.show_dead_letter(2)"),
        0
    );
}

#[test]
fn redriven_message_keeps_its_webhook_id_and_says_how_often_it_was_redriven() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::failing(3, 500));
    site.queue("q", ", max_attempts => 1");
    site.run(r#"select hooks.send('q', 'x', headers => '{"X-Kept": "yes"}')"#);
    for _ in 0..3 {
        site.wait_until("select exists (select from hooks.dead_letter)");
        assert_eq!(site.value::<i64>("select hooks.redrive(1)"), 1);
    }
    let arrived = site.arrivals("q", 4);
    let said: Vec<_> = arrived
        .iter()
        .map(|request| (request.header("hooks-redriven"), request.header("x-kept")))
        .collect();
    assert_eq!(
        said,
        [
            (None, Some("yes")),
            (Some("1"), Some("yes")),
            (Some("2"), Some("yes")),
            (Some("3"), Some("yes"))
        ]
    );
    assert!(
        arrived
            .iter()
            .all(|request| request.webhook_id() == arrived[0].webhook_id())
    );
}

#[test]
fn message_with_as_many_headers_as_there_may_be_is_redriven() {
    let mut site = Site::new();
    site.queue("q", "");
    bury(&mut site, "q", 1);
    site.run(
        "update hooks.dead_letter
         set headers = (select jsonb_object_agg('x-' || n, 'v') from generate_series(1, 64) as n)",
    );
    assert_eq!(site.value::<i64>("select hooks.redrive(queue => 'q')"), 1);
    assert_eq!(site.arrival("q").header("x-64"), Some("v"));
}

#[test]
fn letters_are_selected_by_ids_queue_time_of_death_and_error_class() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.queue("other", ", active => false");
    let ids = bury(&mut site, "q", 6);
    bury(&mut site, "other", 3);
    let count = |site: &mut Site, call: &str| site.value::<i64>(&format!("select hooks.redrive({call})"));
    assert_eq!(
        count(&mut site, &format!("ids => '{{{},{},{0},4711}}'", ids[0], ids[1])),
        2
    );
    let second = |n| {
        format!(
            "(select dead_at + interval '{n} seconds' from hooks.dead_letter where id = {})",
            ids[2]
        )
    };
    let range = format!("queue => 'q', since => {}, until => {}", second(1), second(2));
    assert_eq!(
        count(&mut site, &range),
        1,
        "of the second in which the fourth died"
    );
    site.run(&format!(
        "update hooks.dead_letter set error_class = 'timeout' where id = {}",
        ids[4]
    ));
    assert_eq!(count(&mut site, "queue => 'q', error_class => 'timeout'"), 1);
    assert_eq!(left(&mut site), 2 + 3);
    assert_eq!(
        count(
            &mut site,
            "until => now() - interval '1 day' + interval '2 seconds', row_limit => 1"
        ),
        1
    );
    assert_eq!(
        count(&mut site, "since => now() - interval '2 days'"),
        4,
        "of all queues"
    );
    assert_eq!(count(&mut site, "since => '-infinity'"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 9);
}

#[test]
fn call_that_selects_nothing_is_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    bury(&mut site, "q", 2);
    for call in [
        "hooks.redrive()",
        "hooks.redrive(null)",
        "hooks.redrive(to_queue => 'q', rate => 1)",
        "hooks.redrive(error_class => 'status')",
        "hooks.redrive(row_limit => 1)",
        "hooks.purge()",
        "hooks.purge(ids => null)",
    ] {
        assert_eq!(
            refused(&mut site, call),
            "it is not said which dead letters are meant"
        );
    }
    for call in [
        "hooks.redrive(1, ids => '{1}')",
        "hooks.redrive(ids => '{1}', queue => 'q')",
        "hooks.redrive(1, row_limit => 1)",
        "hooks.redrive(queue => 'q', row_limit => 0)",
        "hooks.redrive(queue => 'q', since => now(), until => now())",
        "hooks.redrive(queue => 'q', rate => 0)",
        "hooks.redrive(queue => 'q', rate => 1, per => '0')",
        "hooks.redrive(queue => 'q', rate => 1, per => '2 days')",
        "hooks.redrive(queue => 'q', at => 'infinity')",
    ] {
        refused(&mut site, call);
    }
    for call in ["queue => 'none'", "queue => 'q', to_queue => 'none'"] {
        let unknown = site.refusal(&format!("select hooks.redrive({call})"));
        assert_eq!(unknown.code, SqlState::UNDEFINED_OBJECT.code());
    }
    assert_eq!(left(&mut site), 2);
}

#[test]
fn letters_go_to_another_queue_from_a_time_on() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("other", "");
    bury(&mut site, "q", 2);
    let later = "select hooks.redrive(queue => 'q', to_queue => 'other', at => now() + interval '1 hour')";
    assert_eq!(site.value::<i64>(later), 2);
    let waiting = "select count(*) = 2 and bool_and(due_at > now() + interval '59 minutes'
                            and queue_id = hooks.queue_id('other') and attempt = attempts_before and attempt = 3)
                   from hooks.message";
    assert!(site.value::<bool>(waiting));
    site.run("update hooks.message set due_at = now()");
    assert_eq!(bodies(&site, "other", 2), ["1", "2"]);
    assert_eq!(site.arrived("q"), 0);
}

#[test]
fn rate_spreads_due_times() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    bury(&mut site, "q", 2500);
    let call =
        "select hooks.redrive(queue => 'q', rate => 100, per => '10 seconds', at => now() + interval '1 h')";
    assert_eq!(site.value::<i64>(call), 2500);
    let in_interval: Vec<i64> = site.column(
        "select count(*)
         from hooks.message,
              (select min(due_at) as first from hooks.message) as m
         group by floor(extract(epoch from due_at - first + interval '1 ms') / 10)",
    );
    assert_eq!(in_interval, vec![100; 25]);
    let in_order: bool = site.value(
        "select bool_and(body = place::text)
         from (select body, row_number() over (order by due_at) as place from hooks.message) as m",
    );
    assert!(in_order, "the first to die is the first to go");
}

#[test]
fn letter_that_cannot_be_sent_as_it_is_does_not_keep_the_others() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let ids = bury(&mut site, "q", 5);
    site.run(&format!(
        "update hooks.dead_letter set body = repeat('x', 2 << 20) where id = {}",
        ids[2]
    ));
    assert_eq!(site.value::<i64>("select hooks.redrive(queue => 'q')"), 4);
    assert_eq!(site.column::<i64>("select id from hooks.dead_letter"), [ids[2]]);
    let message = refused(&mut site, &format!("hooks.redrive({})", ids[2]));
    assert!(message.contains("exceeds hooks.max_body_size"), "{message}");
}

#[test]
fn letters_of_dropped_queues_go_to_another_queue_only() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("other", "");
    bury(&mut site, "q", 2);
    bury(&mut site, "other", 1);
    site.run("select hooks.drop_queue('q')");
    assert_eq!(site.value::<i64>("select hooks.redrive(since => '-infinity')"), 1);
    assert_eq!(left(&mut site), 2);
    let moved: i64 = site.value("select hooks.redrive(since => '-infinity', to_queue => 'other')");
    assert_eq!(moved, 2);
    assert_eq!(site.arrivals("other", 3).len(), 3);
}

#[test]
fn keys_that_letters_blocked_are_sent_in_their_order() {
    let mut site = Site::new();
    site.queue("q", ", ordering_policy => 'block'");
    bury_with(&mut site, "q", 20, "'k' || n % 2");
    site.run("select hooks.send('q', 'last', ordering_key => 'k0')");
    assert_eq!(site.value::<i64>("select hooks.redrive(queue => 'q')"), 20);
    let arrived = site.arrivals("q", 21);
    let of = |even: bool| -> Vec<&str> {
        let texts = arrived.iter().map(|request| request.text());
        texts
            .filter(|text| text.parse::<i32>().map_or(even, |n| (n % 2 == 0) == even))
            .collect()
    };
    let expected: Vec<String> = (1..=10)
        .map(|n| (2 * n).to_string())
        .chain(["last".to_owned()])
        .collect();
    assert_eq!(of(true), expected);
    let expected: Vec<String> = (0..10).map(|n| (2 * n + 1).to_string()).collect();
    assert_eq!(of(false), expected);
}
