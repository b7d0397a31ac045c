//! Filters of users that the worker evaluates, and that never end.

use std::time::Duration;

use pg_hooks_tests::cluster::StopMode;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::site::{AT_ONCE, SOON, Site, run};

/// Takes three times as long for each step more: minutes for whatever object it is given.
const ENDLESS: &str = "'$' || repeat('.keyvalue()', 18) || '.key == \"x\"'";

fn overruns(cluster: &Cluster) -> usize {
    cluster.log().matches("[PGH310]").count()
}

#[test]
fn endless_filter_of_an_operational_event_holds_up_nobody_and_no_stop() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.receiver.on("/bad", Behaviour::status(500));
    site.queue("bad", ", max_attempts => 1");
    for queue in ["ops", "told", "q"] {
        site.queue(queue, "");
    }
    site.run(&format!(
        "select hooks.subscribe('**', 'ops', filter => {ENDLESS});
         select hooks.subscribe('hooks.**', 'ops', filter => {ENDLESS});
         select hooks.subscribe('hooks.**', 'told', filter => '$.queue == \"bad\"')"
    ));
    let mut client = site.connect();
    for told in 1..=3 {
        site.send("bad", "x");
        site.assert_prompt(&mut client, "q");
        site.arrivals("told", told);
    }
    assert_eq!(site.arrived("ops"), 0);
    assert_eq!(
        overruns(&cluster),
        1,
        "it is evaluated once, and that of ** never"
    );

    run(
        &mut client,
        "update hooks.subscription set filter = filter || ' ' where filter like '%keyvalue%'",
    );
    site.send("bad", "x");
    wait_until("its turn, as it is another one", SOON, || overruns(&cluster) == 2);
    site.arrivals("told", 4);
    run(
        &mut client,
        "update hooks.subscription set filter = filter || ' ' where filter like '%keyvalue%'",
    );
    site.send("bad", "x");
    site.arrivals("bad", 5);
    let took = cluster.stop(StopMode::Fast);
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn endless_filter_on_the_events_of_a_schedule_holds_up_nobody() {
    let mut site = Site::new();
    for queue in ["never", "ticks", "q"] {
        site.queue(queue, "");
    }
    site.run(&format!(
        "select hooks.subscribe('tick', 'never', filter => {ENDLESS});
         select hooks.subscribe('tick', 'ticks', filter => '$.a == 1');
         select hooks.schedule('s', event => 'tick', schedule => 'every 1 second', body => '{{\"a\": 1}}')"
    ));
    let mut client = site.connect();
    for ticks in 1..=3 {
        site.arrivals("ticks", ticks);
        site.assert_prompt(&mut client, "q");
    }
    assert_eq!(site.arrived("never"), 0);
}

#[test]
fn many_endless_filters_hold_up_deliveries_for_a_moment_only() {
    let mut site = Site::new();
    site.receiver.on("/bad", Behaviour::status(500));
    site.queue("bad", ", max_attempts => 1");
    site.queue("ops", "");
    site.queue("told", "");
    site.run(&format!(
        "select count(hooks.subscribe('hooks.**', 'ops', filter => {ENDLESS} || repeat(' ', n)))
         from generate_series(1, 100) as n;
         select hooks.subscribe('hooks.**', 'told')"
    ));
    let began = std::time::Instant::now();
    site.send("bad", "x");
    site.arrivals("told", 1);
    let took = began.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
}

/// Steps of the filter above that take this machine some time, and yet less than they may.
fn just_quick_enough(site: &mut Site) -> String {
    for steps in 4..18 {
        let path = format!("${}.key == \"x\"", ".keyvalue()".repeat(steps));
        let query = format!("select '{{\"a\": 1}}'::jsonb @@ '{path}'::jsonpath is null");
        let took = (0..3).map(|_| {
            let began = std::time::Instant::now();
            site.value::<bool>(&query);
            began.elapsed()
        });
        if took.min() >= Some(Duration::from_millis(25)) {
            return path;
        }
    }
    panic!("no filter takes long");
}

#[test]
fn filters_that_are_just_quick_enough_hold_up_deliveries_for_a_moment_only() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    for queue in ["never", "q"] {
        site.queue(queue, "");
    }
    let path = just_quick_enough(&mut site);
    site.run(&format!(
        "select count(hooks.subscribe('**', 'never', filter => '{path}' || repeat(' ', n)))
         from generate_series(1, 3) as n;
         select count(hooks.schedule('s' || n, event => 'tick', schedule => '0 0 1 1 *', body => '{{\"a\": 1}}'))
         from generate_series(1, 300) as n"
    ));
    let mut client = site.connect();
    site.assert_prompt(&mut client, "q");
    site.run("update hooks.cron set next_run_at = now()");
    let began = std::time::Instant::now();
    let before = site.arrived("q");
    site.send("q", "x");
    site.arrivals("q", before + 1);
    let took = began.elapsed();
    site.wait_until("select not exists (select from hooks.cron where next_run_at <= now())");
    assert!(took < AT_ONCE, "{took:?}");
    assert!(overruns(&cluster) > 0, "or it took no time at all");
}
