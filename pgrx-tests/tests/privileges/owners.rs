//! Who owns a queue.

use pg_hooks_tests::site::{Site, refusal, run};

use crate::roles::{DENIED, assert_denied, member};

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

#[test]
fn owner_does_not_get_the_credential_that_an_admin_set_by_sending_the_queue_elsewhere() {
    let mut site = Site::new();
    let (_, mut owner) = member(&mut site, "owner", "in role hooks_tenant");
    let (_, mut admin) = member(&mut site, "admin", "in role hooks_admin");
    let (_, mut writer) = member(&mut site, "writer", "in role pg_read_all_data, pg_write_all_data");
    run(
        &mut owner,
        "select hooks.create_queue('q', 'https://example.com:443/in')",
    );
    // Without a credential he may.
    run(
        &mut owner,
        "select hooks.alter_queue('q', url => 'https://example.org/in');
         select hooks.alter_queue('q', url => 'https://example.com/in')",
    );
    run(&mut admin, "select hooks.use_bearer('q', 's3cret-t0ken')");
    for elsewhere in [
        "https://example.org/in",
        "https://sub.example.com/in",
        "https://example.com:8443/in",
        "https://example.com./in",
    ] {
        let move_it = format!("select hooks.alter_queue('q', url => '{elsewhere}')");
        let refused = refusal(&mut owner, &move_it);
        assert_eq!(refused.code, DENIED, "{elsewhere}: {}", refused.message);
        assert!(refused.hint.contains("hooks.remove_auth()"), "{}", refused.hint);
        assert_denied(
            &mut writer,
            &[&format!("update hooks.queue set url = '{elsewhere}'")],
        );
    }
    run(
        &mut owner,
        "select hooks.alter_queue('q', url => 'https://EXAMPLE.com:443/other?a=b', description => 'mine')",
    );
    run(
        &mut admin,
        "select hooks.alter_queue('q', url => 'https://example.org/in')",
    );
    run(&mut admin, "select hooks.remove_auth('q')");
    run(
        &mut owner,
        "select hooks.alter_queue('q', url => 'https://example.com/in')",
    );
}

#[test]
fn queue_is_not_given_away_with_a_credential() {
    let mut site = Site::new();
    let (_, mut old) = member(&mut site, "old", "in role hooks_tenant");
    let (new, _) = member(&mut site, "new", "in role hooks_tenant");
    run(&mut old, "select hooks.create_queue('q', 'https://example.com/')");
    site.run("select hooks.use_basic('q', 'user', 'p4ssword')");
    let give = format!("select hooks.give_queue('q', '{new}')");
    let refused = site.refusal(&give);
    assert_eq!(refused.code, "55000");
    assert_eq!(refused.message, "queue \"q\" authenticates with its receiver");
    site.run("select hooks.remove_auth('q')");
    site.run(&give);
    assert_eq!(site.value::<String>(OWNER), new);
}
