//! Answers that come for messages that are no longer what was sent.

use pg_hooks_tests::{Behaviour, Cluster};

use crate::site::Site;

/// As tests of applications reset their databases.
#[test]
fn answer_for_a_message_of_before_a_truncate_does_not_end_a_later_one_of_the_same_id() {
    let mut site = Site::new();
    site.receiver.on(
        "/q",
        Behaviour::Script(vec![Behaviour::Hang, Behaviour::status(200)]),
    );
    site.queue("q", "");
    let before = site.send("q", "before");
    site.arrivals("q", 1);
    site.run("truncate hooks.message restart identity");
    let after = site.send("q", "after");
    assert_eq!(after, before);
    site.receiver.release("/q");
    let arrived = site.arrivals("q", 2);
    assert_eq!(arrived[1].text(), "after");
    site.wait_for_delivered(1);
}

#[test]
fn message_that_is_changed_while_it_is_on_the_wire_is_sent_again_soon() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    site.receiver.on(
        "/q",
        Behaviour::Script(vec![Behaviour::Hang, Behaviour::status(200)]),
    );
    site.queue("q", "");
    let id = site.send("q", "x");
    site.arrivals("q", 1);
    site.run(&format!("update hooks.message set attempt = 2 where id = {id}"));
    site.receiver.release("/q");
    site.arrivals("q", 2);
    site.wait_for_delivered(1);
    assert_eq!(site.value::<i32>("select attempts from hooks.message_log"), 3);
}
