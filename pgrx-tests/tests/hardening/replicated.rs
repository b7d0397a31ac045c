//! Changes that fire no trigger, as those that replication applies.

use pg_hooks_tests::Cluster;

use crate::site::Site;

fn cluster() -> Cluster {
    Cluster::builder()
        .setting("hooks.rescan_interval", "500ms")
        .start()
}

/// Changes `/old` to `/new` by this update in which URL stands for the new one.
fn change_without_triggers(site: &mut Site, update: &str) {
    site.queue("old", "");
    site.send("old", "before");
    site.arrival("old");
    let url = site.receiver.url("/new");
    site.run(&format!(
        "begin; set local session_replication_role = replica; {}; commit",
        update.replace("URL", &url)
    ));
}

/// Sends until one arrives at `/new`: the change is followed some time after the rescan interval.
#[track_caller]
fn assert_followed(site: &mut Site) {
    pg_hooks_tests::wait_until("a message at the new URL", crate::site::SOON, || {
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
