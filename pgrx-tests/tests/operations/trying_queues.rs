//! A test of a queue is an attempt that is of no message.

use std::thread;
use std::time::{Duration, Instant};

use pg_hooks_tests::site::{SOON, Site, refusal, row, value};
use pg_hooks_tests::{Answer, Behaviour, Cluster, wait_until};
use postgres::error::SqlState;

fn settled() -> Site {
    with_a_leader(Site::new())
}

/// On a cluster of its own, for what takes all slots of the server.
fn alone() -> Site {
    with_a_leader(Site::on(Box::leak(Box::new(Cluster::builder().start()))))
}

fn with_a_leader(mut site: Site) -> Site {
    site.wait_until("select exists (select from hooks.worker where leader)");
    site
}

#[test]
fn test_says_what_came_of_it_and_leaves_no_trace() {
    let mut site = settled();
    site.receiver.on("/q", Answer::new(418).text("a teapot"));
    site.queue("q", "");
    let tested = row(
        &mut site.client,
        "select *, convert_from(response, 'UTF8') as text from hooks.test_queue('q')",
    );
    assert_eq!(
        (tested.get::<_, bool>("delivered"), tested.get::<_, i32>("status")),
        (false, 418)
    );
    assert_eq!(tested.get::<_, &str>("error_class"), "status");
    assert_eq!(tested.get::<_, &str>("error"), "receiver answered 418");
    assert_eq!(
        (tested.get::<_, &str>("text"), tested.get::<_, bool>("truncated")),
        ("a teapot", false)
    );
    assert!(tested.get::<_, f64>("duration_ms") > 0.0);
    let arrived = site.arrival("q");
    assert_eq!(arrived.text(), r#"{"type":"hooks.test"}"#);
    assert_eq!(arrived.webhook_id(), Some(tested.get::<_, &str>("webhook_id")));
    assert_eq!(arrived.header("hooks-test"), Some("true"));
    for table in ["message", "attempt", "message_log", "dead_letter"] {
        assert_eq!(
            site.value::<i64>(&format!("select count(*) from hooks.{table}")),
            0
        );
    }
}

#[test]
fn test_is_sent_with_body_and_headers_also_when_the_queue_is_paused() {
    let mut site = settled();
    site.queue("q", ", active => false, headers => '{\"x-of\": \"queue\"}'");
    let delivered: bool =
        site.value(r#"select delivered from hooks.test_queue('q', 'the body', headers => '{"x-a": "b"}')"#);
    assert!(delivered);
    let arrived = site.arrival("q");
    assert_eq!(arrived.text(), "the body");
    assert_eq!(
        (arrived.header("x-of"), arrived.header("x-a")),
        (Some("queue"), Some("b"))
    );
}

#[test]
fn failed_tests_do_not_open_the_breaker() {
    let mut site = settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", breaker_min_requests => 2, breaker_threshold => 0.1");
    for _ in 0..5 {
        let delivered: bool = site.value("select delivered from hooks.test_queue('q')");
        assert!(!delivered);
    }
    site.receiver.on("/q", Behaviour::status(200));
    site.run("select hooks.send('q', 'x')");
    assert_eq!(site.arrivals("q", 6)[5].text(), "x");
    assert_eq!(site.value::<i64>("select count(*) from hooks.queue_state"), 0);
}

#[test]
fn test_ends_at_its_timeout() {
    let mut site = settled();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", "");
    let begun = Instant::now();
    let class: String = site.value("select error_class from hooks.test_queue('q', timeout => '1 s')");
    assert_eq!(class, "timeout");
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
}

#[test]
fn cancelled_tests_are_under_way_until_they_end_and_are_bounded() {
    let mut site = alone();
    site.receiver.on("/hangs", Behaviour::Hang);
    site.queue("hangs", "");
    site.queue("q", "");
    let mut codes = (0..40).map(|_| {
        let refused = site.refusal(
            "begin; set local statement_timeout = '50 ms'; select hooks.test_queue('hangs', timeout => '20 s')",
        );
        site.run("rollback");
        refused.code
    });
    let full = codes.find(|code| code != SqlState::QUERY_CANCELED.code());
    assert_eq!(full.as_deref(), Some("55000"));
    assert!(site.arrived("hangs") <= 8, "{}", site.arrived("hangs"));
    site.receiver.release("/hangs");
    let mut other = site.connect();
    wait_until("room for others", SOON, || {
        other.batch_execute("select hooks.test_queue('q')").is_ok()
    });
    assert_eq!(site.arrived("q"), 1);
}

#[test]
fn terminated_session_holds_no_slot_for_ever_and_others_go_on() {
    let mut site = settled();
    site.receiver.on("/hangs", Behaviour::Hang);
    site.queue("hangs", "");
    site.queue("q", "");
    let mut other = site.connect();
    let pid: i32 = value(&mut other, "select pg_backend_pid()");
    thread::scope(|scope| {
        scope.spawn(move || other.batch_execute("select hooks.test_queue('hangs')"));
        wait_until("a test on the wire", SOON, || site.arrived("hangs") > 0);
        site.run(&format!("select pg_terminate_backend({pid})"));
    });
    assert!(site.value::<bool>("select delivered from hooks.test_queue('q')"));
}

#[test]
fn tests_at_the_same_time_get_their_own_answers() {
    let mut site = alone();
    for n in 0..6 {
        site.receiver.on(
            &format!("/q{n}"),
            Answer::new(210 + n).text(&format!("answer {n}")),
        );
        site.queue(&format!("q{n}"), "");
    }
    thread::scope(|scope| {
        for n in 0..6 {
            let mut client = site.connect();
            scope.spawn(move || {
                for _ in 0..20 {
                    let query = format!(
                        "select status, convert_from(response, 'UTF8') from hooks.test_queue('q{n}')"
                    );
                    let row = row(&mut client, &query);
                    let expected = (210 + n, format!("answer {n}"));
                    assert_eq!((row.get::<_, i32>(0), row.get::<_, String>(1)), expected);
                }
            });
        }
    });
}

#[test]
fn queue_that_is_not_committed_and_bad_arguments_are_refused() {
    let mut site = settled();
    let url = site.receiver.url("/q");
    let refused = site.refusal(&format!(
        "begin; select hooks.create_queue('q', '{url}'); select hooks.test_queue('q')"
    ));
    assert_eq!(refused.code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE.code());
    assert_eq!(refused.message, "the worker does not see the queue yet");
    site.run("rollback");
    site.queue("q", "");
    for (arguments, code) in [
        ("'none'", SqlState::UNDEFINED_OBJECT),
        ("'q', timeout => '0'", SqlState::INVALID_PARAMETER_VALUE),
        ("'q', timeout => '1 hour'", SqlState::INVALID_PARAMETER_VALUE),
        ("'q', repeat('x', 10000)", SqlState::INVALID_PARAMETER_VALUE),
        (
            r#"'q', headers => '{"host": "x"}'"#,
            SqlState::INVALID_PARAMETER_VALUE,
        ),
    ] {
        let refused = site.refusal(&format!("select hooks.test_queue({arguments})"));
        assert_eq!(refused.code, code.code(), "{arguments}: {refused:?}");
    }
    assert_eq!(site.arrived("q"), 0);
}

#[test]
fn without_a_worker_it_is_said_at_once() {
    let cluster = Cluster::builder().setting("shared_preload_libraries", "").start();
    cluster.create_database("bare");
    let mut client = cluster.connect("bare");
    client
        .batch_execute("create extension pg_hooks")
        .expect("it can be created");
    client
        .batch_execute("select hooks.create_queue('q', 'https://example.com/')")
        .expect("a queue can be made");
    let refused = refusal(&mut client, "select hooks.test_queue('q')");
    assert_eq!(refused.code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE.code());
    assert!(!refused.hint.is_empty());
}
