//! What a receiver or the owner of a queue asks for: rates, pauses, and an end to knocking.

use std::time::{Duration, Instant};

use pg_hooks_tests::wait::{never_within, try_wait};
use pg_hooks_tests::{Answer, Behaviour, Cluster, Receiver, wait_until};
use postgres::Client;

const SOON: Duration = Duration::from_secs(30);

struct Site {
    receiver: Receiver,
    client: Client,
}

/// A database of its own with one queue `q`, made with these further arguments.
fn site(arguments: &str) -> Site {
    let receiver = Receiver::start();
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.create_hooks_database());
    let make = format!("select hooks.create_queue('q', $1, {arguments})");
    client
        .execute(&make, &[&receiver.url("/q")])
        .expect("the queue is made");
    wait_until("a leader", SOON, || {
        let leader = client.query_opt("select from hooks.worker where leader", &[]);
        leader.expect("the workers can be listed")
    });
    Site { receiver, client }
}

impl Site {
    fn send(&mut self, messages: i32) {
        let send = "select hooks.send('q', n::text) from generate_series(1, $1) as n";
        self.client
            .query(send, &[&messages])
            .expect("messages are stored");
    }

    fn state(&mut self) -> Option<(String, String)> {
        let row = self
            .client
            .query_opt("select state, reason from hooks.queue_state", &[]);
        row.expect("the state can be read")
            .map(|row| (row.get(0), row.get(1)))
    }

    fn active(&mut self) -> bool {
        let row = self.client.query_one("select active from hooks.queue", &[]);
        row.expect("the queue is there").get(0)
    }
}

#[test]
fn rate_limit_spreads_messages_after_a_burst() {
    let mut site = site("rate_limit => 20, rate_burst => 5");
    let began = Instant::now();
    site.send(25);
    site.receiver.wait_for("/q", 25, SOON);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(950), "25 messages in {took:?}");
    assert!(took < Duration::from_secs(15), "25 messages in {took:?}");
}

#[test]
fn retry_after_holds_the_whole_queue_back_and_adds_no_attempt() {
    let mut site =
        site("max_attempts => 2, min_backoff => '50 ms', max_backoff => '50 ms', max_in_flight => 1");
    let busy = Behaviour::Answer(Answer::new(429).header("retry-after", "2"));
    site.receiver
        .on("/q", Behaviour::Script(vec![busy, Behaviour::status(200)]));
    site.send(5);
    let requests = site.receiver.wait_for("/q", 6, SOON);
    let pause = requests[1].arrived.at.duration_since(requests[0].arrived.at);
    assert!(
        pause >= Duration::from_millis(1500),
        "the receiver asked for 2 s, and got {pause:?}"
    );
    assert_eq!(requests.len(), 6, "one retry and five messages");
}

#[test]
fn gone_receiver_disables_the_queue_and_resume_enables_it() {
    let mut site = site("min_backoff => '50 ms', max_backoff => '50 ms'");
    site.receiver.on("/q", Behaviour::status(410));
    site.send(1);
    wait_until("the queue is disabled", SOON, || !site.active());
    let state = site.state();
    assert_eq!(
        state,
        Some(("disabled".to_owned(), "its receiver answered 410 Gone".to_owned()))
    );
    let before = site.receiver.requests("/q").len();
    site.receiver.on("/q", Behaviour::status(200));
    never_within("a disabled queue sends", Duration::from_millis(500), || {
        site.receiver.requests("/q").len() > before
    });
    site.client
        .execute("select hooks.resume('q')", &[])
        .expect("the queue is resumed");
    site.receiver.wait_for("/q", before + 1, SOON);
    assert_eq!(site.state(), None);
}

#[test]
fn old_receiver_that_answers_410_late_does_not_disable_the_queue_that_was_sent_elsewhere() {
    let mut site = site("min_backoff => '50 ms', max_backoff => '50 ms'");
    site.receiver
        .on("/q", Behaviour::Barrier(usize::MAX, Answer::new(410)));
    site.send(1);
    site.receiver.wait_for("/q", 1, SOON);
    let elsewhere = site.receiver.url("/new");
    site.client
        .execute("select hooks.alter_queue('q', url => $1)", &[&elsewhere])
        .expect("the queue is sent elsewhere");
    site.send(1);
    site.receiver.wait_for("/new", 1, SOON);
    site.receiver.release("/q");
    site.receiver.wait_for("/new", 2, SOON);
    assert!(site.active());
    assert_eq!(site.state(), None);
}

#[test]
fn failures_at_the_old_url_are_not_shown_of_a_queue_that_was_sent_elsewhere() {
    for (state, left) in [("failing", None), ("open", Some("open"))] {
        let mut site = site("active => false");
        site.client
            .execute(
                "insert into hooks.queue_state (queue_id, state, since, reason, failing_since, last_failure_at)
                 select id, $1, now(), 'it fails', now(), now() from hooks.queue",
                &[&state],
            )
            .expect("a state is noted");
        let elsewhere = site.receiver.url("/new");
        let change = |what: &str| format!("select hooks.alter_queue('q', {what})");
        let failing = "select count(failing_since) from hooks.queue_state";
        for (what, count) in [
            ("timeout => '5 s'".to_owned(), 1),
            (format!("url => '{elsewhere}'"), 0),
        ] {
            site.client.execute(&change(&what), &[]).expect("it is changed");
            let row = site
                .client
                .query_one(failing, &[])
                .expect("the state can be read");
            assert_eq!(row.get::<_, i64>(0), count, "{state}: {what}");
        }
        assert_eq!(site.state().as_ref().map(|(state, _)| state.as_str()), left);
    }
}

/// Longer than a queue takes to be disabled.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn queue_that_was_disabled_stays_shown_as_disabled_when_earlier_attempts_succeed() {
    let mut site =
        site("breaker_min_requests => 2, max_attempts => 50, min_backoff => '1 h', max_backoff => '1 h'");
    let after = |delay, status| Behaviour::After(delay, Box::new(Behaviour::status(status)));
    site.receiver.on(
        "/q",
        Behaviour::Script(vec![
            after(LATE, 200),
            Behaviour::status(500),
            Behaviour::status(500),
            after(LATE / 2, 410),
        ]),
    );
    site.send(4);
    wait_until("the queue is disabled", SOON, || !site.active());
    let disabled = Some(("disabled".to_owned(), "its receiver answered 410 Gone".to_owned()));
    assert_eq!(site.state(), disabled);
    let delivered = "select from hooks.message_log where state = 'delivered'";
    wait_until("the late success is recorded", SOON, || {
        let row = site.client.query_opt(delivered, &[]);
        row.expect("the log can be read")
    });
    never_within("something else is shown", Duration::from_secs(1), || {
        site.state() != disabled
    });
}

#[test]
fn breaker_opens_on_failures_shows_it_and_closes_after_a_probe() {
    let mut site = site(
        "breaker_min_requests => 5, breaker_open_time => '1 s', max_attempts => 50,
         retry_schedule => array['100 ms']::interval[]",
    );
    site.receiver.on("/q", Behaviour::status(500));
    site.send(20);
    wait_until("the breaker is open", SOON, || {
        site.state().is_some_and(|(state, _)| state == "open")
    });
    wait_until("what was on the wire has come back", SOON, || {
        let count = site.receiver.requests("/q").len();
        let more = || site.receiver.requests("/q").len() > count;
        try_wait(Duration::from_millis(300), more).is_err()
    });
    site.receiver.on("/q", Behaviour::status(200));
    wait_until("the breaker closes", SOON, || site.state().is_none());
    wait_until("every message is delivered", SOON, || {
        let row = site.client.query_one(
            "select count(*) from hooks.message_log where state = 'delivered'",
            &[],
        );
        row.expect("the log can be read").get::<_, i64>(0) == 20
    });
}

#[test]
fn breaker_that_never_closes_disables_the_queue() {
    let mut site = site(
        "breaker_min_requests => 2, breaker_open_time => '1 s', breaker_max_probes => 1, max_attempts => 50,
         retry_schedule => array['50 ms']::interval[]",
    );
    site.receiver.on("/q", Behaviour::status(500));
    site.send(3);
    wait_until("the queue is disabled", SOON, || !site.active());
    let (state, reason) = site.state().expect("the state is shown");
    assert_eq!(
        (state.as_str(), reason.as_str()),
        ("disabled", "its receiver did not come back")
    );
    let kept: i64 = site
        .client
        .query_one("select count(*) from hooks.message", &[])
        .expect("a count")
        .get(0);
    assert_eq!(kept, 3, "its messages are kept");
}

#[test]
fn limits_out_of_range_are_refused() {
    let mut site = site("rate_limit => 1");
    for arguments in [
        "rate_limit => 0",
        "rate_burst => -1",
        "rate_interval => '0'",
        "rate_interval => '2 days'",
        "breaker_threshold => 0",
        "breaker_threshold => 1.5",
        "breaker_threshold => 'NaN'",
        "breaker_window => '0'",
        "breaker_open_time => '100 days'",
        "breaker_min_requests => 0",
        "breaker_max_probes => 0",
    ] {
        let alter = format!("select hooks.alter_queue('q', {arguments})");
        let error = site.client.execute(&alter, &[]).expect_err(arguments);
        let error = error.as_db_error().expect("an error of the server");
        assert_eq!(error.code().code(), "22023", "{arguments}: {}", error.message());
        assert!(error.hint().is_some(), "{arguments}");
    }
}
