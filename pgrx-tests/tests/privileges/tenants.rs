//! Two tenants who know nothing of each other.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Site, refusal, run, value};
use postgres::Client;

use crate::roles::{assert_denied, member};

/// Tenants "a" and "b" with a queue each, "qa" and "qb", of which each knows a message and a dead letter.
pub struct Tenants {
    pub site: Site,
    pub a: Client,
    pub b: Client,
    pub b_role: String,
    pub message_of_b: i64,
    pub dead_of_b: i64,
}

pub fn tenants() -> Tenants {
    let mut site = Site::new();
    let (_, mut a) = member(&mut site, "a", "in role hooks_tenant");
    let (b_role, mut b) = member(&mut site, "b", "in role hooks_tenant");
    site.receiver.on("/dead", Behaviour::status(404));
    let mut ids = Vec::new();
    for (client, queue) in [(&mut a, "qa"), (&mut b, "qb")] {
        let url = site.receiver.url("/dead");
        run(
            client,
            &format!("select hooks.create_queue('{queue}', '{url}', max_attempts => 1)"),
        );
        let dead: i64 = value(client, &format!("select hooks.send('{queue}', 'secret')"));
        let waiting: i64 = value(
            client,
            &format!("select hooks.send('{queue}', 'secret', at => '2100-01-01')"),
        );
        ids.push((dead, waiting));
    }
    site.wait_until("select count(*) = 2 from hooks.dead_letter");
    let (dead_of_b, message_of_b) = ids[1];
    Tenants {
        site,
        a,
        b,
        b_role,
        message_of_b,
        dead_of_b,
    }
}

#[test]
fn tenant_does_all_there_is_with_queues_of_its_own() {
    let mut t = tenants();
    run(
        &mut t.b,
        &format!(
            "select hooks.alter_queue('qb', max_attempts => 3, description => 'mine');
             select hooks.pause('qb'); select hooks.resume('qb');
             select hooks.send('qb', '{{}}'::jsonb, at => '2100-01-01', idempotency_key => 'k');
             select * from hooks.queue_messages('qb');
             select hooks.schedule('sb', 'qb', '@daily', 'x');
             select hooks.pause_schedule('sb'); select hooks.resume_schedule('sb');
             select hooks.create_queue('qb2', 'https://example.com/', dead_letter_queue => 'qb');
             select hooks.grant_send('qb', '{role}'); select hooks.revoke_send('qb', '{role}');
             select hooks.cron_preview('@daily');
             select hooks.unschedule('sb', true);
             select hooks.drop_queue('qb2')",
            role = t.b_role
        ),
    );
    run(
        &mut t.b,
        &format!(
            "select body from hooks.show_dead_letter({dead});
             select hooks.purge({dead} + 1000000)",
            dead = t.dead_of_b
        ),
    );
    let redriven: i64 = value(&mut t.b, "select hooks.redrive(since => '-infinity')");
    assert_eq!(redriven, 1, "its own, and not that of the other");
    let cancelled: bool = value(&mut t.b, &format!("select hooks.cancel({})", t.message_of_b));
    assert!(cancelled);
    let state: String = value(
        &mut t.b,
        &format!("select state from hooks.status({})", t.message_of_b),
    );
    assert_eq!(state, "cancelled");
    run(&mut t.b, "select hooks.drop_queue('qb', cancel_messages => true)");
}

#[test]
fn tenant_does_nothing_with_queues_of_another() {
    let mut t = tenants();
    run(&mut t.b, "select hooks.schedule('sb', 'qb', '@daily', 'x')");
    assert_denied(
        &mut t.a,
        &[
            "select hooks.alter_queue('qb', url => 'https://example.com/')",
            "select hooks.alter_queue('qa', dead_letter_queue => 'qb')",
            "select hooks.create_queue('c', 'https://example.com/', dead_letter_queue => 'qb')",
            "select hooks.drop_queue('qb', true)",
            "select hooks.pause('qb')",
            "select hooks.resume('qb')",
            "select hooks.send('qb', 'x')",
            "select hooks.send('qb', '{}'::jsonb)",
            "select hooks.send('qb', 'x'::bytea)",
            "select hooks.queue_messages('qb')",
            "select hooks.redrive(queue => 'qb')",
            "select hooks.redrive(queue => 'qa', to_queue => 'qb')",
            "select hooks.purge(queue => 'qb')",
            "select hooks.grant_send('qb', 'hooks_user')",
            "select hooks.grant_read('qb', 'hooks_user')",
            "select hooks.revoke_send('qb', 'hooks_user')",
            "select hooks.give_queue('qa', 'hooks_user')",
            "select hooks.schedule('sa', 'qb', '@daily', 'x')",
            "select hooks.schedule('sb', 'qa', '@daily', 'x')",
            "select hooks.pause_schedule('sb')",
            "select hooks.resume_schedule('sb')",
            "select hooks.unschedule('sb', true)",
        ],
    );
    let before: String = t.site.value(STATE);
    for call in [
        format!("select hooks.cancel({})", t.message_of_b),
        format!("select hooks.redrive({}) > 0", t.dead_of_b),
        format!("select hooks.redrive(ids => '{{{}}}') > 0", t.dead_of_b),
        format!("select hooks.purge({}) > 0", t.dead_of_b),
        format!(
            "select exists (select from hooks.show_dead_letter({}))",
            t.dead_of_b
        ),
        format!("select exists (select from hooks.status({}))", t.message_of_b),
        format!("select exists (select from hooks.status({}))", t.dead_of_b),
    ] {
        assert!(!value::<bool>(&mut t.a, &call), "{call}");
    }
    assert_eq!(t.site.value::<String>(STATE), before);
    // What it selects by time alone is its own.
    let purged: i64 = value(&mut t.a, "select hooks.purge(since => '-infinity')");
    let left: Vec<i64> = t.site.column("select id from hooks.dead_letter");
    assert_eq!((purged, left), (1, vec![t.dead_of_b]));
}

const STATE: &str =
    "select concat_ws(' ', (select string_agg(q::text, '; ' order by q.id) from hooks.queue as q),
    (select string_agg(m::text, '; ' order by m.id) from hooks.message as m),
    (select string_agg(d::text, '; ' order by d.id) from hooks.dead_letter as d),
    (select string_agg(c::text, '; ' order by c.id) from hooks.cron as c))";

#[test]
fn tenant_has_no_part_in_events_tables_and_the_server() {
    let mut t = tenants();
    let tables: Vec<String> = t.site.column(
        "select c.oid::regclass::text from pg_class as c
         where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'p', 'v')",
    );
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables.iter().filter(|table| *table != "hooks.watches") {
        assert_denied(&mut t.a, &[&format!("table {table}")]);
    }
    assert_denied(
        &mut t.a,
        &[
            "select hooks.publish('a', '1')",
            "select hooks.subscribe('**', 'qa')",
            "select hooks.unsubscribe(1)",
            "select hooks.alter_subscription(1, active => true)",
            "select hooks.list_subscriptions()",
            "select hooks.schedule('s', event => 'a', schedule => '@daily')",
            "select hooks.watch('pg_class', 'qa')",
            "select hooks.workers()",
            "select hooks.health()",
            "select hooks.adopt_roles()",
            "alter system set hooks.require_https = off",
        ],
    );
    let refused = refusal(&mut t.a, "set hooks.allowed_networks = '0.0.0.0/0'");
    assert_eq!(refused.code, "55P02");
}

/// A superuser may have watched our tables: what that stores is not the tenant's.
#[test]
fn change_by_a_tenant_may_be_told_to_a_queue_of_the_admin() {
    let mut t = tenants();
    t.site.queue("audit", ", active => false");
    t.site
        .run("select hooks.watch('hooks.queue', 'audit', '{update}', columns => '{name}')");
    run(&mut t.a, "select hooks.alter_queue('qa', name => 'renamed')");
    let told: i64 = t
        .site
        .value("select count(*) from hooks.message where queue_id = hooks.queue_id('audit')");
    assert_eq!(told, 1);
    assert_denied(&mut t.a, &["select hooks.send('audit', 'x')"]);
}

/// Names are those of the database: that one is taken is all that a tenant learns.
#[test]
fn name_that_another_tenant_has_is_taken() {
    let mut t = tenants();
    let refused = refusal(
        &mut t.a,
        "select hooks.create_queue('qb', 'https://example.com/')",
    );
    assert_eq!(refused.code, "42710");
    let refused = refusal(&mut t.a, "select hooks.alter_queue('qa', name => 'qb')");
    assert_eq!(refused.code, "42710");
}

#[test]
fn idempotency_keys_of_tenants_do_not_meet() {
    let mut t = tenants();
    let send = |client: &mut Client, queue: &str| {
        value::<i64>(
            client,
            &format!("select hooks.send('{queue}', 'x', at => '2100-01-01', idempotency_key => 'k')"),
        )
    };
    let (a, b) = (send(&mut t.a, "qa"), send(&mut t.b, "qb"));
    assert_ne!(a, b);
    assert_eq!(send(&mut t.a, "qa"), a);
}

#[test]
fn tenant_who_is_given_a_right_uses_it_and_no_more() {
    let mut t = tenants();
    let a: String = value(&mut t.a, "select current_user::text");
    run(&mut t.b, &format!("select hooks.grant_send('qb', '{a}')"));
    run(
        &mut t.a,
        "select hooks.send('qb', 'x', at => '2100-01-01');
         select hooks.alter_queue('qa', dead_letter_queue => 'qb')",
    );
    assert_denied(
        &mut t.a,
        &["select hooks.pause('qb')", "select hooks.queue_messages('qb')"],
    );
}

#[test]
fn admin_manages_queues_of_all_tenants() {
    let mut t = tenants();
    let (_, mut admin) = member(&mut t.site, "admin", "in role hooks_admin");
    run(
        &mut admin,
        &format!(
            "select hooks.alter_queue('qa', max_attempts => 2), hooks.pause('qb'), hooks.send('qa', 'x');
             select hooks.cancel({}), hooks.redrive({});
             select hooks.drop_queue('qa', true), hooks.drop_queue('qb', true)",
            t.message_of_b, t.dead_of_b
        ),
    );
}
