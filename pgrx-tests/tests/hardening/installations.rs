//! The extension dropped and created again: its ids begin anew.

use pg_hooks_tests::{Behaviour, Cluster, wait_until};
use postgres::Client;

use crate::site::{SOON, Site, send};

const DROP: &str = "drop extension pg_hooks";
const CREATE: &str = "create extension pg_hooks";

/// A cluster whose leader looks at the tables once, unless something makes it look.
fn cluster() -> Cluster {
    Cluster::builder().setting("hooks.rescan_interval", "1h").start()
}

/// The extension is there, and its message 1 hangs. `warm` is a session that knows the queue.
struct Before<'a> {
    site: Site<'a>,
    warm: Client,
    message: i64,
    webhook_id: String,
}

fn before(cluster: &Cluster) -> Before<'_> {
    let mut site = Site::on(cluster);
    let mut warm = site.connect();
    site.receiver.on("/old", Behaviour::Hang);
    site.queue("old", "");
    let message = send(&mut warm, "old", "of the old extension");
    let webhook_id = site.arrival("old").webhook_id().unwrap().to_owned();
    Before {
        site,
        warm,
        message,
        webhook_id,
    }
}

/// Sends a new message 1 and has the old one answered while it hangs.
#[track_caller]
fn assert_new_ids_are_not_taken_for_old_ones(before: Before) {
    let Before {
        mut site, mut warm, ..
    } = before;
    site.receiver.on("/new", Behaviour::Hang);
    site.queue("new", "");
    let new = send(&mut warm, "new", "of the new extension");
    assert_eq!(new, before.message);
    let key: String = site.value("select webhook_key from hooks.installation");
    let request = site.arrival("new");
    assert_eq!(request.webhook_id(), Some(format!("msg_{key}_{new}").as_str()));
    assert_ne!(request.webhook_id(), Some(before.webhook_id.as_str()));

    site.receiver.release("/old");
    // A message that is sent and recorded after that answer shows that it changed nothing.
    site.queue("later", "");
    site.send("later", "x");
    site.wait_for_delivered(1);
    let waiting: String = site.value(&format!("select body from hooks.message where id = {new}"));
    assert_eq!(waiting, "of the new extension");
    site.receiver.release("/new");
    site.wait_for_delivered(2);
    let attempts: i64 = site.value("select count(*) from hooks.attempt");
    assert_eq!(attempts, 2, "the old one left no trace");
    assert_eq!((site.arrived("old"), site.arrived("new")), (1, 1));
}

#[test]
fn extension_made_anew_in_one_transaction_sends_under_its_own_key() {
    let cluster = cluster();
    let mut before = before(&cluster);
    before.site.run(&format!("begin; {DROP}; {CREATE}; commit"));
    assert_new_ids_are_not_taken_for_old_ones(before);
}

#[test]
fn extension_made_anew_in_two_transactions_sends_under_its_own_key() {
    let cluster = cluster();
    let mut before = before(&cluster);
    before.site.run(DROP);
    before.site.run(CREATE);
    assert_new_ids_are_not_taken_for_old_ones(before);
}

#[test]
fn extension_made_anew_whose_worker_came_before_the_message_sends_under_its_own_key() {
    let cluster = cluster();
    let mut before = before(&cluster);
    let leader = before.site.leader();
    before.site.run(DROP);
    before.site.run(CREATE);
    before.site.wait_until(&format!(
        "select exists (select from hooks.worker where leader and pid <> {leader})"
    ));
    assert_new_ids_are_not_taken_for_old_ones(before);
}

#[test]
fn extension_made_anew_when_the_old_worker_is_gone_sends_under_its_own_key() {
    let cluster = cluster();
    let mut before = before(&cluster);
    before.site.run(DROP);
    before.site.receiver.release("/old");
    wait_until("the worker to end", SOON, || {
        cluster.worker_pids(&before.site.database).is_empty()
    });
    before.site.run(CREATE);
    assert_new_ids_are_not_taken_for_old_ones(before);
}
