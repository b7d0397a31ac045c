//! A version after this one: its extension with the library of this one.

use std::time::Duration;

use pg_hooks_tests::releases::CURRENT;
use pg_hooks_tests::site::run;
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Cluster, Receiver, install, scratch};

use crate::made_up::{NEWER, scripts};
use crate::servers::SOON;
use crate::updating::wait_for_state;

#[test]
fn library_that_is_older_than_the_extension_stops_and_loses_nothing() {
    let tree = install::with_extension().unwrap();
    let tree = tree.with_scripts(scratch::folder().join("tree"), &scripts());
    let cluster = Cluster::builder().start_of(tree.unwrap());
    let receiver = Receiver::start();
    let database = cluster.create_hooks_database();
    let mut client = cluster.connect(&database);
    let url = receiver.url("/q");
    run(
        &mut client,
        &format!("select hooks.create_queue('q', '{url}'); select hooks.send('q', 'before')"),
    );
    receiver.wait_for("/q", 1, SOON);
    // As installing a new package and not restarting the server does.
    run(
        &mut client,
        &format!("alter extension pg_hooks update to '{NEWER}'"),
    );
    wait_for_state(&mut client, "held: version");
    run(&mut client, "select hooks.send('q', 'between')");
    never_within("something was sent", Duration::from_secs(1), || {
        receiver.count() > 1
    });
    assert!(
        cluster
            .log()
            .contains("library and extension are of different versions")
    );
    // With the library of that version it would go on; here the extension comes back.
    run(
        &mut client,
        &format!("alter extension pg_hooks update to '{CURRENT}'"),
    );
    assert_eq!(receiver.wait_for("/q", 2, SOON)[1].text(), "between");
}
