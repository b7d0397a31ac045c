//! The extension dropped and created again: its ids begin anew.

use pg_hooks_tests::{Behaviour, Cluster};

use crate::site::{Site, send};

/// Drops and creates the extension while message 1 hangs, and sends a new message 1.
fn make_anew(script: &str, wait_for_new_worker: bool) {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    let mut warm = site.connect();
    site.receiver.on("/old", Behaviour::Hang);
    site.receiver.on("/new", Behaviour::Hang);
    site.queue("old", "");
    let old = send(&mut warm, "old", "of the old extension");
    let old_key = site.arrival("old").webhook_id().unwrap().to_owned();
    let old_leader = site.leader();

    site.run(script);
    if wait_for_new_worker {
        site.wait_until(&format!(
            "select exists (select from hooks.worker where leader and pid <> {old_leader})"
        ));
    }
    site.queue("new", "");
    let new = send(&mut warm, "new", "of the new extension");
    assert_eq!(old, new);
    let key: String = site.value("select webhook_key from hooks.installation");
    let request = site.arrival("new");
    assert_eq!(request.webhook_id(), Some(format!("msg_{key}_{new}").as_str()));
    assert_ne!(request.webhook_id(), Some(old_key.as_str()));

    site.receiver.release("/old");
    // A message that is sent and recorded after that answer shows that it changed nothing.
    site.queue("later", "");
    site.send("later", "x");
    site.wait_for_delivered(1);
    assert_eq!(
        site.value::<String>(&format!("select body from hooks.message where id = {new}")),
        "of the new extension"
    );
    site.receiver.release("/new");
    site.wait_for_delivered(2);
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.attempt"),
        2,
        "the old one left no trace"
    );
    assert_eq!((site.arrived("old"), site.arrived("new")), (1, 1));
}

#[test]
fn extension_made_anew_in_one_transaction_sends_under_its_own_key() {
    make_anew(
        "begin; drop extension pg_hooks; create extension pg_hooks; commit",
        false,
    );
}

#[test]
fn extension_made_anew_in_two_transactions_sends_under_its_own_key() {
    make_anew(
        "drop extension pg_hooks; commit; create extension pg_hooks",
        false,
    );
}

#[test]
fn extension_made_anew_whose_worker_came_first_sends_under_its_own_key() {
    make_anew("drop extension pg_hooks; create extension pg_hooks", true);
}
