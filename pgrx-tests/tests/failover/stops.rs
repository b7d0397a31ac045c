//! Stopping a primary whose standby is gone.

use std::time::Duration;

use pg_hooks_tests::cluster::StopMode;
use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::{Behaviour, Receiver, wait_until};

use crate::pair::{DATABASE, Pair, SOON};

/// The leader gives what is on the wire a second, and the server writes a checkpoint.
const ORDERLY: Duration = Duration::from_secs(15);

#[test]
fn fast_stop_does_not_wait_for_a_leader_that_waits_for_its_standby() {
    let receiver = Receiver::start();
    let pair = Pair::start();
    let mut client = pair.primary.connect(DATABASE);
    // One whose breaker opens: that is noted after the results, in a commit of its own.
    receiver.on("/sick", Behaviour::status(500));
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('q', '{}');
             select hooks.create_queue('sick', '{}', breaker_min_requests => 1, breaker_threshold => 0.1)",
            receiver.url("/q"),
            receiver.url("/sick")
        ),
    );
    pair.standby.stop(StopMode::Immediate);
    run(
        &mut client,
        "set synchronous_commit = local; select hooks.send('q', 'x'), hooks.send('sick', 'x')",
    );
    receiver.wait_for("/q", 1, SOON);
    receiver.wait_for("/sick", 1, SOON);
    wait_until("the leader to wait for its standby", SOON, || {
        value::<bool>(
            &mut client,
            "select exists (select from pg_stat_activity where backend_type like 'pg_hooks%' and wait_event = 'SyncRep')",
        )
    });
    drop(client);
    let took = pair.primary.stop(StopMode::Fast);
    assert!(took < ORDERLY, "{took:?}");

    pair.primary.configure("synchronous_standby_names", "");
    pair.primary.start().unwrap_or_else(|failure| panic!("{failure}"));
    let mut client = pair.primary.connect(DATABASE);
    let log = "select count(*) from hooks.message_log where state = 'delivered'";
    assert_eq!(
        value::<i64>(&mut client, log),
        1,
        "what was recorded here is kept"
    );
    assert_eq!(receiver.requests("/q").len(), 1);
}
