//! Changes that fire no trigger, as those that replication applies.

use pg_hooks_tests::{Cluster, wait_until};

use crate::site::{AT_ONCE, Site};

fn cluster() -> Cluster {
    Cluster::builder()
        .setting("hooks.rescan_interval", "500ms")
        .start()
}

/// Changes `/old` to `/new` by this update, in which URL stands for the new one.
fn change_without_triggers(site: &mut Site, update: &str) {
    site.queue("old", "");
    // Only a rescan finds these; two, as the first one may find the queue to be new.
    for count in 1..=2 {
        replicate(
            site,
            "insert into hooks.message (queue_id, body) select id, 'replicated' from hooks.queue",
        );
        site.arrivals("old", count);
    }
    let url = site.receiver.url("/new");
    replicate(site, &update.replace("URL", &url));
}

fn replicate(site: &mut Site, script: &str) {
    site.run(&format!(
        "begin; set local session_replication_role = replica; {script}; commit"
    ));
}

/// Sends until one arrives at `/new`: the change is followed some time after the rescan interval.
#[track_caller]
fn assert_followed(site: &mut Site) {
    wait_until("a message at the new URL", AT_ONCE, || {
        site.send("old", "after");
        site.wait_until("select not exists (select from hooks.message)");
        site.arrived("new") > 0
    });
}

#[test]
fn policy_that_was_replicated_is_followed() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    change_without_triggers(
        &mut site,
        "update hooks.queue set url = 'URL', updated_at = clock_timestamp()",
    );
    assert_followed(&mut site);
}

#[test]
fn policy_that_was_changed_without_its_time_is_followed() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    change_without_triggers(&mut site, "update hooks.queue set url = 'URL'");
    assert_followed(&mut site);
}

#[test]
fn queue_that_was_replaced_without_triggers_is_followed() {
    let cluster = cluster();
    let mut site = Site::on(&cluster);
    change_without_triggers(
        &mut site,
        "create temporary table t as table hooks.queue; delete from hooks.queue;
         update t set url = 'URL'; insert into hooks.queue table t",
    );
    assert_followed(&mut site);
}
