//! Who owns a queue.

use pg_hooks_tests::site::{Site, run};

use crate::roles::{assert_denied, member};

const OWNER: &str = "select g.grantee_name from hooks.queue_grant as g
                     join hooks.queue as q on q.id = g.queue_id
                     where q.name = 'q' and g.privilege = 'own'";

#[test]
fn whoever_makes_a_queue_owns_it_whatever_way_it_is_made() {
    let mut site = Site::new();
    let (tenant, mut client) = member(&mut site, "tenant", "in role hooks_tenant");
    let (admin, mut admin_client) = member(&mut site, "admin", "in role hooks_admin");
    run(
        &mut client,
        "select hooks.create_queue('q', 'https://example.com/')",
    );
    assert_eq!(site.value::<String>(OWNER), tenant);
    site.run("select hooks.drop_queue('q')");
    assert_eq!(site.value::<i64>("select count(*) from hooks.queue_grant"), 0);
    run(
        &mut admin_client,
        "insert into hooks.queue (name, url) values ('q', 'https://example.com/')",
    );
    assert_eq!(site.value::<String>(OWNER), admin);
}

#[test]
fn queue_that_is_given_away_belongs_to_its_new_owner_alone() {
    let mut site = Site::new();
    let (_, mut old) = member(&mut site, "old", "in role hooks_tenant");
    let (new, mut client) = member(&mut site, "new", "in role hooks_tenant");
    run(&mut old, "select hooks.create_queue('q', 'https://example.com/')");
    assert_denied(&mut old, &[&format!("select hooks.give_queue('q', '{new}')")]);
    site.run(&format!("select hooks.give_queue('q', '{new}')"));
    assert_eq!(site.value::<String>(OWNER), new);
    assert_denied(&mut old, &["select hooks.pause('q')"]);
    run(&mut client, "select hooks.pause('q')");
}
