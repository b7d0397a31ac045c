//! The facility itself: a plan strikes where and when it says, and a step that failed is done again.

use std::time::Duration;

use pg_hooks_tests::site::{Site, refusal, value};
use pg_hooks_tests::vitals::cpu_ticks;
use pg_hooks_tests::{Cluster, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn batch_whose_record_fails_is_recorded_later_and_not_sent_again() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    cluster.set_faults("record::FINISHED:2");
    for _ in 0..3 {
        site.run("select hooks.send('q', 'body')");
        site.settle();
    }
    assert_eq!(site.arrived("q"), 3);
    assert_eq!(cluster.struck(), [("record::FINISHED".to_owned(), 1)]);
    assert!(cluster.log().contains("fault at record::FINISHED"));
}

#[test]
fn plan_with_a_place_that_does_not_exist_is_refused() {
    let cluster = Cluster::builder().faulty().start();
    let mut client = cluster.connect("postgres");
    let refused = refusal(&mut client, "set hooks.faults = 'record::FINISHED:2, nowhere:1'");
    assert_eq!(refused.code, "22023");
    assert_eq!(value::<String>(&mut client, "show hooks.faults"), "");
}

#[test]
fn attempts_for_which_the_system_refuses_something_are_made_again() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", ", min_backoff => '100 ms', max_backoff => '100 ms'");
    let plan = "attempt: panic, socket: connect=111, socket: read, socket: write, thread: io";
    cluster.set_faults(plan);
    site.run("select hooks.send('q', 'body')");
    site.settle();
    assert_eq!(
        site.value::<String>("select state from hooks.message_log"),
        "delivered"
    );
    assert_eq!(cluster.struck().len(), 5, "{:?}", cluster.struck());
}

/// As where there is no room for its lock.
#[test]
fn worker_that_cannot_wait_for_the_lead_is_at_rest_and_can_be_terminated() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    site.queue("q", "");
    cluster.set_faults("worker: lead:always");
    cluster.reload(&[("hooks.workers", "2")]);
    let mut follower = || -> Option<i32> {
        let rows = site
            .client
            .query("select pid from hooks.worker where not leader", &[]);
        rows.unwrap().first().map(|row| row.get(0))
    };
    let first = wait_until("a follower", SOON, &mut follower);
    let before = cpu_ticks(first);
    std::thread::sleep(Duration::from_secs(1));
    let spent = cpu_ticks(first) - before;
    assert!(spent < 25, "{spent} ticks in a second of waiting");
    cluster.set_faults("");
    let mut postgres = cluster.connect("postgres");
    postgres
        .execute("select pg_terminate_backend($1)", &[&first])
        .unwrap();
    wait_until("another follower", SOON, || {
        follower().filter(|pid| *pid != first)
    });
}
