//! A leader that ends in order, again and again.

use pg_hooks_tests::cluster::{Signal, StopMode, signal};
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

use crate::site::{SOON, Site};

/// Waits until message 1 was requested so many times.
fn await_request(site: &mut Site, count: usize) {
    site.arrivals("q", count);
    // An answer that was not seen by the session yet could be taken for the state of the table.
    site.leader();
}

#[test]
fn orderly_ends_do_not_make_a_dead_letter_of_a_claimed_message_that_hangs() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", ", timeout => '300 s'");
    site.send("q", "slow, but harmless");
    await_request(&mut site, 1);
    let leader = site.leader();
    assert!(signal(leader, Signal::KILL));
    wait_until("the server to end all sessions", SOON, || {
        site.client.batch_execute("select 1").is_err()
    });
    site.client = wait_until("the server to come back", SOON, || {
        cluster.try_connect("postgres", &site.database)
    });
    await_request(&mut site, 2);
    assert_eq!(
        site.value::<i16>("select deaths from hooks.message"),
        1,
        "it is claimed after an unclean end"
    );
    for round in 3..=5 {
        let leader = site.leader();
        if round == 4 {
            cluster.stop(StopMode::Fast);
            cluster.start().unwrap();
            site.client = cluster.connect(&site.database);
        } else {
            site.run(&format!("select pg_terminate_backend({leader})"));
        }
        await_request(&mut site, round);
        assert_eq!(site.value::<i16>("select deaths from hooks.message"), 0);
    }
    site.receiver.release("/q");
    site.wait_for_delivered(1);
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}
