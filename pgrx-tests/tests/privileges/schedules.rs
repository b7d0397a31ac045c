//! A schedule runs with the rights of its owner.

use pg_hooks_tests::site::{Site, run};

use crate::roles::{assert_denied, member, role};

const PROBLEM: &str = "select problem from hooks.cron_status where name = 's'";

fn due_again(site: &mut Site) {
    site.run("update hooks.cron set next_run_at = now()");
    site.wait_until("select next_run_at > now() from hooks.cron");
}

#[test]
fn schedule_stops_when_its_owner_loses_the_right_and_goes_on_when_it_is_back() {
    let mut site = Site::new();
    site.queue("q", "");
    let (tenant, mut client) = member(&mut site, "tenant", "in role hooks_tenant");
    site.run(&format!("select hooks.grant_send('q', '{tenant}')"));
    run(&mut client, "select hooks.schedule('s', 'q', '@yearly', 'x')");
    due_again(&mut site);
    site.arrivals("q", 1);
    site.run(&format!("select hooks.revoke_send('q', '{tenant}')"));
    due_again(&mut site);
    let problem: String = site.value(PROBLEM);
    assert_eq!(
        problem,
        format!("its owner \"{tenant}\" may not send to its queue")
    );
    site.settle();
    assert_eq!(site.arrived("q"), 1);
    site.run(&format!("select hooks.grant_send('q', '{tenant}')"));
    assert_eq!(site.value::<Option<String>>(PROBLEM), None);
    due_again(&mut site);
    site.arrivals("q", 2);
}

#[test]
fn schedule_of_a_dropped_role_stops_until_somebody_takes_it_over() {
    let mut site = Site::new();
    site.queue("q", "");
    let (admin, mut client) = member(&mut site, "admin", "in role hooks_admin");
    run(
        &mut client,
        "insert into hooks.cron (name, queue_id, schedule, owner, owner_name)
         values ('s', hooks.queue_id('q'), '@yearly', 10, 'postgres')",
    );
    let owner: String = site.value("select owner_name from hooks.cron");
    assert_eq!(owner, admin);
    drop(client);
    site.run(&format!("drop role {admin}"));
    due_again(&mut site);
    // Changing the entry has adopted it: that is for the one who did.
    assert_eq!(site.value::<Option<String>>(PROBLEM), None);
    site.arrivals("q", 1);
    site.run("update hooks.cron set owner = null");
    site.run(
        "set session_replication_role = replica;
              update hooks.cron set owner = 4000000000, owner_name = 'gone', next_run_at = now();
              reset session_replication_role; select hooks.note_cron(id) from hooks.cron",
    );
    site.wait_until("select next_run_at > now() from hooks.cron");
    assert_eq!(site.value::<String>(PROBLEM), "its owner \"gone\" is gone");
    assert_eq!(site.arrived("q"), 1);
    site.run("select hooks.schedule('s', 'q', '@yearly', 'x')");
    assert_eq!(site.value::<Option<String>>(PROBLEM), None);
}

#[test]
fn schedule_that_publishes_needs_an_owner_who_may() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q')");
    let (admin, mut client) = member(&mut site, "admin", "in role hooks_admin");
    run(
        &mut client,
        "select hooks.schedule('s', event => 'a', schedule => '@yearly')",
    );
    due_again(&mut site);
    site.arrivals("q", 1);
    site.run(&format!("revoke hooks_admin from {admin}"));
    due_again(&mut site);
    let problem: String = site.value(PROBLEM);
    assert_eq!(problem, format!("its owner \"{admin}\" may not publish events"));
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 1);
}

#[test]
fn schedule_of_another_is_not_replaced() {
    let mut site = Site::new();
    let (_, mut one) = member(&mut site, "one", "in role hooks_tenant");
    let (_, mut two) = member(&mut site, "two", "in role hooks_tenant");
    let group = role(&mut site, "idle", "");
    assert!(!group.is_empty());
    run(
        &mut one,
        "select hooks.create_queue('q1', 'https://example.com/'); select hooks.schedule('s', 'q1', '@daily')",
    );
    run(
        &mut two,
        "select hooks.create_queue('q2', 'https://example.com/')",
    );
    assert_denied(&mut two, &["select hooks.schedule('s', 'q2', '@daily')"]);
    run(&mut one, "select hooks.schedule('s', 'q1', '@hourly')");
    let schedule: String = site.value("select schedule from hooks.cron");
    assert_eq!(schedule, "@hourly");
}
