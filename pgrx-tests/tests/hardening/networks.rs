//! Networks that are taken back.

use pg_hooks_tests::{Cluster, wait_until};

use crate::site::{INVALID, SOON, Site};

#[test]
fn queue_to_a_network_that_is_no_longer_allowed_can_be_paused_changed_and_dropped() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    for queue in ["paused", "dropped", "moved", "kept"] {
        site.queue(queue, ", max_attempts => 1");
    }
    cluster.reload(&[("hooks.allowed_networks", "")]);
    wait_until("this session to follow", SOON, || {
        site.value::<String>("show hooks.allowed_networks").is_empty()
    });

    site.run(
        "select hooks.pause('paused');
         select hooks.resume('paused');
         select hooks.alter_queue('paused', description => 'not for now', max_attempts => 3);
         update hooks.queue set active = false, url = url where name = 'paused';
         select hooks.drop_queue('dropped')",
    );
    for statement in [
        "select hooks.alter_queue('moved', url => 'http://127.0.0.1:2/')",
        "select hooks.alter_queue('moved', url => 'https://10.1.2.3/')",
        "update hooks.queue set url = url || '2' where name = 'moved'",
        "select hooks.create_queue('new', 'http://127.0.0.1:2/')",
    ] {
        let refused = site.refusal(statement);
        assert_eq!(refused.code, INVALID, "{statement}: {refused:?}");
    }
    site.run("select hooks.alter_queue('moved', url => 'https://example.com/')");
    site.send("kept", "x");
    assert_eq!(site.dead_letters(1), ["blocked"]);
    assert_eq!(site.arrived("kept"), 0);
}
