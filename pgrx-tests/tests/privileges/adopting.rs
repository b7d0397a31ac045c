//! Rights and schedules that a restore brought, for roles that have other numbers here.

use pg_hooks_tests::site::Site;

use crate::roles::{assert_denied, member, role, session};

const SEND: &str = "select hooks.send('q', 'x', at => '2100-01-01')";

/// Names of those who may send to the queue and are there under their numbers.
fn senders(site: &mut Site) -> Vec<String> {
    site.column(
        "select split_part(g.grantee_name, '_', 1)
         from hooks.queue_grant as g
         join pg_roles as r on r.oid = g.grantee and r.rolname = g.grantee_name
         where g.privilege = 'send'
         order by 1",
    )
}

/// Roles a, b and c that may send to the queue `q`, and whose numbers a restore gave to others: that of a to the first of
/// these names, that of b to the second, and that of c to nobody.
fn renumbered(site: &mut Site, names: impl Fn(&[String; 3]) -> [String; 2]) -> [String; 3] {
    site.queue("q", "");
    let roles = ["a", "b", "c"].map(|name| role(site, name, ""));
    for name in &roles {
        site.run(&format!("select hooks.grant_send('q', '{name}')"));
    }
    let ([a, b, _], [first, second]) = (&roles, names(&roles));
    site.run(&format!(
        "update hooks.queue_grant
         set grantee_name = case grantee when '{a}'::regrole then '{first}' when '{b}'::regrole then '{second}'
                            else 'gone' end
         where privilege = 'send'"
    ));
    roles
}

#[test]
fn roles_that_exchanged_their_numbers_have_their_rights() {
    let mut site = Site::new();
    let [_, _, c] = renumbered(&mut site, |[a, b, _]| [b.clone(), a.clone()]);
    assert_eq!(senders(&mut site), Vec::<String>::new());
    assert_eq!(site.value::<i64>("select hooks.adopt_roles()"), 2);
    assert_eq!(senders(&mut site), ["a", "b"]);
    assert_denied(&mut session(&site, &c), &[SEND]);
    assert_eq!(site.value::<i64>("select hooks.adopt_roles()"), 0);
}

#[test]
fn chain_of_numbers_is_followed_to_its_end_by_one_call() {
    let mut site = Site::new();
    let [a, ..] = renumbered(&mut site, |[_, b, c]| [b.clone(), c.clone()]);
    site.run("select hooks.adopt_roles()");
    assert_eq!(senders(&mut site), ["b", "c"]);
    assert_denied(&mut session(&site, &a), &[SEND]);
}

#[test]
fn right_that_was_there_twice_is_there_once() {
    let mut site = Site::new();
    site.queue("q", "");
    let (name, _) = member(&mut site, "a", "");
    site.run(&format!(
        "insert into hooks.queue_grant (queue_id, privilege, grantee, grantee_name)
         select q.id, 'send', n, '{name}' from hooks.queue as q cross join generate_series(4000000000, 4000000001) as n"
    ));
    site.run("select hooks.adopt_roles()");
    assert_eq!(senders(&mut site), ["a"]);
    let rows: i64 = site.value("select count(*) from hooks.queue_grant where privilege = 'send'");
    assert_eq!(rows, 1);
}

#[test]
fn schedule_that_is_not_valid_here_keeps_no_other_from_its_owner() {
    let mut site = Site::new();
    site.queue("q", "");
    let owner = role(&mut site, "owner", "in role hooks_admin");
    site.run(&format!(
        "select hooks.schedule('bad', 'q', '@yearly', 'x'), hooks.schedule('good', 'q', '@yearly', 'x');
         select hooks.grant_send('q', '{owner}');
         set session_replication_role = replica;
         update hooks.cron set owner = 4000000000, owner_name = '{owner}';
         update hooks.cron set headers = '{{\"host\": \"x\"}}' where name = 'bad';
         update hooks.queue_grant set grantee = 4000000000 where privilege = 'send';
         reset session_replication_role"
    ));
    assert_eq!(site.value::<i64>("select hooks.adopt_roles()"), 2);
    let of_owner: Vec<String> = site.column(&format!(
        "select name from hooks.cron where owner = '{owner}'::regrole order by name"
    ));
    assert_eq!(of_owner, ["good"]);
    assert_eq!(senders(&mut site), ["owner"]);
}
