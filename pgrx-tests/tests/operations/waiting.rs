//! Waiting for a message to be finished.

use std::thread;
use std::time::{Duration, Instant};

use pg_hooks_tests::site::{Site, row, value};
use pg_hooks_tests::{Answer, Behaviour};
use postgres::error::SqlState;

#[test]
fn wait_returns_when_the_message_is_finished() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::from(Answer::new(204)));
    site.queue("q", "");
    site.receiver.on("/bad", Behaviour::status(500));
    site.queue("bad", ", max_attempts => 1");
    for (queue, state, status) in [("q", "delivered", 204_i16), ("bad", "dead", 500)] {
        let id: i64 = site.value(&format!("select hooks.send('{queue}', 'x')"));
        let waited = row(
            &mut site.client,
            &format!("select id, queue, state, last_status from hooks.wait({id})"),
        );
        assert_eq!((waited.get::<_, i64>(0), waited.get::<_, &str>(1)), (id, queue));
        assert_eq!(
            (waited.get::<_, &str>(2), waited.get::<_, i16>(3)),
            (state, status)
        );
    }
}

#[test]
fn after_the_timeout_the_message_is_shown_as_it_stands() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    let begun = Instant::now();
    let state: String = site.value(&format!("select state from hooks.wait({id}, '300 ms')"));
    assert_eq!(state, "pending");
    // The server goes by another clock.
    assert!(begun.elapsed() >= Duration::from_millis(250));
    let state: String = site.value(&format!("select state from hooks.wait({id}, '0')"));
    assert_eq!(state, "pending");
}

#[test]
fn wait_sees_what_another_session_does_meanwhile() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    let mut other = site.connect();
    thread::scope(|scope| {
        let waiting =
            scope.spawn(move || value::<String>(&mut other, &format!("select state from hooks.wait({id})")));
        site.wait_until("select exists (select from pg_stat_activity where wait_event = 'PgSleep')");
        site.run(&format!("select hooks.cancel({id})"));
        assert_eq!(waiting.join().expect("it waits"), "cancelled");
    });
}

#[test]
fn wait_that_could_never_end_is_refused() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    let never = SqlState::ACTIVE_SQL_TRANSACTION;
    for script in [
        "begin; select hooks.wait(hooks.send('q', 'x'))".to_owned(),
        "begin; savepoint s; select hooks.wait(hooks.send('q', 'x'))".to_owned(),
        format!("begin isolation level repeatable read; select hooks.wait({id})"),
        format!("begin isolation level serializable; select hooks.wait({id})"),
    ] {
        assert_eq!(site.refusal(&script).code, never.code(), "{script}");
        site.run("rollback");
    }
    for (arguments, code) in [
        ("4711", SqlState::UNDEFINED_OBJECT),
        ("null", SqlState::UNDEFINED_OBJECT),
        ("1, null", SqlState::INVALID_PARAMETER_VALUE),
        ("1, '-1 s'", SqlState::INVALID_PARAMETER_VALUE),
    ] {
        let refused = site.refusal(&format!("select hooks.wait({arguments})"));
        assert_eq!(refused.code, code.code(), "{arguments}: {refused:?}");
    }
}

#[test]
fn wait_is_cancelled_like_any_statement() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    let refused = site.refusal(&format!(
        "begin; set local statement_timeout = '100 ms'; select hooks.wait({id})"
    ));
    assert_eq!(refused.code, SqlState::QUERY_CANCELED.code());
}
