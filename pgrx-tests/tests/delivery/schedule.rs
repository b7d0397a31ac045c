//! Messages for later: sent at their time, and free of charge until then.

use std::time::SystemTime;

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::wait_until;

use crate::site::{SOON, Site, arrived_at, assert_within, between, ms};

#[test]
fn future_time_is_echoed_exactly_and_nothing_is_sent_before() {
    let mut site = Site::settled();
    site.queue("q", "");
    let delays = [7_000, 4_000, 6_000, 5_000, 8_001, 9_000, 10_000];
    let mut due = Vec::new();
    for delay in delays {
        let at: SystemTime = site.value(&format!("select clock_timestamp() + interval '{delay} ms'"));
        let id: i64 = site.value_with(
            "select hooks.send('q', $1::text, at => $2)",
            &[&delay.to_string(), &at],
        );
        let status = site.row("select state, due_at from hooks.status($1)", &[&id]);
        assert_eq!(
            (status.get::<_, &str>(0), status.get::<_, SystemTime>(1)),
            ("scheduled", at)
        );
        due.push((id, at));
    }
    let arrived = site.arrivals("q", delays.len());
    let mut late = Vec::new();
    for (id, at) in due {
        let request = arrived
            .iter()
            .find(|request| request.message_id() == Some(id))
            .unwrap();
        assert!(
            arrived_at(request) >= at,
            "{id} came {:?} early",
            between(arrived_at(request), at)
        );
        late.push(between(at, arrived_at(request)));
        site.wait_for_state(id, "delivered");
        let echoed: SystemTime = site.value_with("select due_at from hooks.status($1)", &[&id]);
        assert_eq!(echoed, at);
    }
    // The machine may be busy with other tests now and then, but not most of the time. Only a rescan is later.
    late.sort();
    assert_within("the median", late[late.len() / 2], ms(0)..=ms(5_000));
}

#[test]
fn message_for_later_does_not_hold_back_those_that_are_due() {
    let mut site = Site::settled();
    site.queue("q", ", max_in_flight => 1");
    for interval in ["100 years", "30 days", "5 seconds"] {
        site.run(&format!(
            "select hooks.send('q', '{interval}', at => now() + interval '{interval}')"
        ));
    }
    site.send("q", "now");
    let arrived = site.arrivals("q", 2);
    assert_eq!(arrived[0].text(), "now");
    assert_eq!(arrived[1].text(), "5 seconds");
    site.send("q", "again");
    assert_eq!(site.arrivals("q", 3)[2].text(), "again");
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message where due_at > now() + interval '29 days'"),
        2
    );
}

#[test]
fn messages_for_30_days_and_100_years_ahead_cost_nothing_until_then() {
    let mut site = Site::settled();
    site.queue("q", "");
    for interval in ["30 days", "100 years", "200000 years"] {
        site.run(&format!(
            "select hooks.send('q', 'x', at => now() + interval '{interval}')"
        ));
    }
    let leader = site.leader();
    let look = "select state, query_start, state_change, xact_start from pg_stat_activity where pid = $1";
    let seen = |site: &mut Site| {
        let row = site.row(look, &[&leader]);
        let times: Vec<Option<SystemTime>> = (1..=3).map(|n| row.get(n)).collect();
        (row.get::<_, Option<String>>(0), times)
    };
    // The worker has noted the messages and does nothing any more.
    let idle = wait_until("the worker to be idle", SOON, || {
        let before = seen(&mut site);
        std::thread::sleep(ms(200));
        let after = seen(&mut site);
        if before == after {
            Ok(after)
        } else {
            Err(format!("{before:?}, {after:?}"))
        }
    });
    assert_eq!(idle.0.as_deref(), Some("idle"));
    never_within("the worker did something", ms(2_000), || seen(&mut site) != idle);
    site.send("q", "now");
    assert_eq!(site.arrival("q").text(), "now");
}
