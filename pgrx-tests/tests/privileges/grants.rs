//! Rights on single queues.

use pg_hooks_tests::site::{SOON, Site, refusal, run, value};
use pg_hooks_tests::wait_until;

use crate::roles::{DENIED, assert_denied, member, role, session};

/// Queues "mine" and "other", with a message that is not due.
fn site() -> Site {
    let mut site = Site::new();
    for queue in ["mine", "other"] {
        site.queue(queue, "");
        site.run(&format!(
            "select hooks.send('{queue}', 'secret', at => '2100-01-01')"
        ));
    }
    site
}

#[test]
fn sender_of_one_queue_sends_to_it_in_every_way_and_to_no_other() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    assert_denied(&mut client, &["select hooks.send('mine', 'x')"]);
    site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
    run(
        &mut client,
        "select hooks.send('mine', 'x', at => '2100-01-01', idempotency_key => 'k');
         select hooks.send('mine', '{}'::json, at => '2100-01-01');
         select hooks.send('mine', '{}'::jsonb, at => '2100-01-01');
         select hooks.send('mine', 'x'::bytea, at => '2100-01-01');
         select hooks.send_batch('mine', array['x'], at => '2100-01-01');
         select hooks.send_batch('mine', array['{}']::json[], at => '2100-01-01');
         select hooks.send_batch('mine', array['{}']::jsonb[], at => '2100-01-01');
         select hooks.send_batch('mine', array['x']::bytea[], at => '2100-01-01')",
    );
    let stored: i64 = site.value("select count(*) from hooks.message as m join hooks.queue as q on q.id = m.queue_id where q.name = 'mine'");
    assert_eq!(stored, 9);
    let refused = refusal(&mut client, "select hooks.send('other', 'x')");
    assert_eq!(refused.code, DENIED);
    assert_eq!(refused.message, "permission denied for queue \"other\"");
    assert!(refused.hint.contains("hooks.grant_send()"), "{}", refused.hint);
    assert_denied(
        &mut client,
        &[
            "select hooks.send('other', '{}'::json)",
            "select hooks.send('other', '{}'::jsonb)",
            "select hooks.send('other', 'x'::bytea)",
            "select hooks.send('other', 'x', idempotency_key => 'k')",
            "select hooks.send_batch('other', array['x'])",
            "select hooks.send_batch('other', array['{}']::jsonb[])",
            "select hooks.send_batch('other', '{}'::bytea[])",
        ],
    );
}

#[test]
fn sender_of_one_queue_neither_reads_nor_changes_anything() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
    assert_denied(
        &mut client,
        &[
            "table hooks.queue",
            "table hooks.message",
            "table hooks.queue_grant",
            "select url from hooks.queue",
            "insert into hooks.message (queue_id, body) values (1, 'x')",
            "insert into hooks.queue_grant (queue_id, privilege, grantee, grantee_name) values (2, 'own', 1, 'x')",
            "select hooks.queue_messages('mine')",
            "select hooks.alter_queue('mine', url => 'https://example.com/')",
            "select hooks.create_queue('new', 'https://example.com/')",
            "select hooks.drop_queue('mine', true)",
            "select hooks.pause('mine')",
            "select hooks.cancel(1)",
            "select hooks.redrive(1)",
            "select hooks.grant_send('mine', 'hooks_user')",
            "select hooks.grant_on_queue('mine', 'hooks_user', 'own')",
            "select hooks.give_queue('mine', 'hooks_user')",
            "select hooks.adopt_roles()",
            "select hooks.publish('a', '1')",
            "select hooks.store_event('a', '1', null, null, null, null, null, '{}', '{}')",
            "select hooks.subscribe('a', 'mine')",
            "select hooks.schedule('s', 'mine', '@daily')",
            "select hooks.watch('pg_class', 'mine')",
            "select hooks.emit()",
            "select hooks.caller()",
            "select hooks.role_may(10, 1, 'manage')",
            "select hooks.allowed_queue('mine', 'send')",
            "create function mine() returns int language hooks_plpgsql as 'begin return 1; end'",
        ],
    );
    // It is told nothing of messages either.
    let seen: i64 = value(&mut client, "select count(*) from hooks.status(1)");
    assert_eq!(seen, 0);
    let seen: i64 = value(&mut client, "select count(*) from hooks.event_status(1)");
    assert_eq!(seen, 0);
}

#[test]
fn reader_of_one_queue_sees_where_its_messages_stand_and_no_others() {
    let mut site = site();
    let (reader, mut client) = member(&mut site, "reader", "");
    site.run(&format!("select hooks.grant_read('mine', '{reader}')"));
    let ids: Vec<i64> = site.column("select id from hooks.message order by id");
    let seen = |client: &mut postgres::Client, id: i64| {
        value::<i64>(client, &format!("select count(*) from hooks.status({id})"))
    };
    assert_eq!((seen(&mut client, ids[0]), seen(&mut client, ids[1])), (1, 0));
    let listed: i64 = value(&mut client, "select count(*) from hooks.queue_messages('mine')");
    assert_eq!(listed, 1);
    assert_denied(
        &mut client,
        &[
            "select hooks.queue_messages('other')",
            "select hooks.send('mine', 'x')",
            "select hooks.cancel(1)",
            "table hooks.message_state",
            "table hooks.attempt",
        ],
    );
    site.run(&format!("select hooks.revoke_read('mine', '{reader}')"));
    assert_eq!(seen(&mut client, ids[0]), 0);
}

#[test]
fn right_of_a_group_is_that_of_its_members_while_they_are_in_it() {
    let mut site = site();
    let group = role(&mut site, "group", "");
    let (member, mut client) = member(&mut site, "member", &format!("in role {group}"));
    let (_, mut stranger) = crate::roles::member(&mut site, "stranger", "");
    site.run(&format!("select hooks.grant_send('mine', '{group}')"));
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    run(&mut client, send);
    assert_denied(&mut stranger, &[send]);
    site.run(&format!("revoke {group} from {member}"));
    assert_denied(&mut client, &[send]);
    site.run(&format!("grant {group} to {member}"));
    run(&mut client, send);
}

#[test]
fn right_that_is_taken_back_is_gone_in_sessions_that_used_it() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    run(&mut client, send);
    run(&mut client, send);
    assert!(site.value::<bool>(&format!("select hooks.revoke_send('mine', '{sender}')")));
    assert_denied(&mut client, &[send]);
    assert!(!site.value::<bool>(&format!("select hooks.revoke_send('mine', '{sender}')")));
}

#[test]
fn right_that_a_prepared_transaction_takes_back_is_gone_in_sessions_that_used_it() {
    let mut site = site();
    let prepared = format!("'revoked in {}'", site.database);
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    site.run(&format!(
        "begin; select hooks.revoke_send('mine', '{sender}'); prepare transaction {prepared}"
    ));
    run(&mut client, send);
    site.run(&format!("commit prepared {prepared}"));
    wait_until("the right to be gone", SOON, || {
        client.batch_execute(send).is_err()
    });
    assert_denied(&mut client, &[send]);
}

#[test]
fn membership_that_is_taken_back_is_gone_in_sessions_that_used_it() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "in role hooks_sender, hooks_user");
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    run(&mut client, send);
    site.run(&format!("revoke hooks_sender from {sender}"));
    assert_denied(&mut client, &[send]);
}

#[test]
fn right_of_a_dropped_role_is_of_use_to_no_later_role() {
    let mut site = site();
    let sender = role(&mut site, "sender", "");
    site.run(&format!(
        "select hooks.grant_send('mine', '{sender}'); drop role {sender}"
    ));
    // The same name, with another number.
    let (_, mut client) = member(&mut site, "sender", "in role hooks_user");
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    assert_denied(&mut client, &[send]);
    // The same number, with another name.
    site.run(&format!(
        "update hooks.queue_grant set grantee = '{sender}'::regrole, grantee_name = 'someone' where privilege = 'send'"
    ));
    assert_denied(&mut client, &[send]);
    // Until a superuser says that the names are to count, as after a restore.
    site.run(&format!(
        "update hooks.queue_grant set grantee = 1, grantee_name = '{sender}' where privilege = 'send'"
    ));
    assert_denied(&mut client, &[send]);
    assert_eq!(site.value::<i64>("select hooks.adopt_roles()"), 1);
    run(&mut client, send);
}

/// As it is on another server, where its rights came with a dump and its memberships did not.
#[test]
fn adopted_role_may_call_what_its_rights_are_for() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!(
        "select hooks.grant_send('mine', '{sender}');
         revoke hooks_user from {sender};
         update hooks.queue_grant set grantee = 1 where privilege = 'send'"
    ));
    let send = "select hooks.send('mine', 'x', at => '2100-01-01')";
    assert_denied(&mut client, &[send]);
    assert_eq!(site.value::<i64>("select hooks.adopt_roles()"), 1);
    run(&mut client, send);
}

#[test]
fn plain_insert_asks_for_the_right_on_the_queue_too() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!(
        "select hooks.grant_send('mine', '{sender}');
         grant insert on hooks.message to {sender}"
    ));
    let ids: Vec<i64> = site.column("select id from hooks.queue order by name");
    let insert = |queue: i64| {
        format!("insert into hooks.message (queue_id, body, due_at) values ({queue}, 'x', '2100-01-01')")
    };
    run(&mut client, &insert(ids[0]));
    assert_denied(&mut client, &[&insert(ids[1])]);
}

#[test]
fn function_of_a_user_has_the_rights_of_its_owner_and_no_more() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    let (_, mut writer) = member(&mut site, "writer", "in role hooks_user");
    site.run(&format!(
        "select hooks.grant_send('mine', '{sender}'); create schema authorization {sender}"
    ));
    run(
        &mut client,
        &format!(
            "create function {sender}.pass_on(queue text) returns void language sql security definer
             as $$ select hooks.send(queue, 'x', at => '2100-01-01') $$;
             grant usage on schema {sender} to public"
        ),
    );
    run(&mut writer, &format!("select {sender}.pass_on('mine')"));
    assert_denied(&mut writer, &[&format!("select {sender}.pass_on('other')")]);
    // Whoever calls it: what a superuser may is not lent to it.
    let refused = site.refusal(&format!("select {sender}.pass_on('other')"));
    assert_eq!(refused.code, DENIED);
    assert_denied(&mut writer, &["select hooks.send('mine', 'x')"]);
}

#[test]
fn caller_is_known_again_after_an_error_within() {
    let mut site = site();
    let (sender, mut client) = member(&mut site, "sender", "");
    site.run(&format!("select hooks.grant_read('mine', '{sender}')"));
    run(
        &mut client,
        "do $$
         begin
           for i in 1 .. 3 loop
             begin
               perform hooks.queue_messages('mine', row_limit => 0);
               raise 'not refused';
             exception when invalid_parameter_value then null;
             end;
           end loop;
         end $$",
    );
    assert_eq!(value::<String>(&mut client, "select current_user::text"), sender);
    assert_denied(
        &mut client,
        &["select hooks.queue_messages('other')", "table hooks.queue"],
    );
}

#[test]
fn right_is_given_to_roles_that_are_there_and_inherit() {
    let mut site = site();
    let idle = role(&mut site, "idle", "noinherit");
    let refused = site.refusal(&format!("select hooks.grant_send('mine', '{idle}')"));
    assert_eq!(refused.code, "22023");
    assert!(refused.hint.contains("INHERIT"), "{}", refused.hint);
    assert_eq!(
        site.refusal("select hooks.grant_send('mine', 'nobody_at_all')")
            .code,
        "42704"
    );
    assert_eq!(
        site.refusal("select hooks.grant_send('mine', 4000000000::oid::regrole)")
            .code,
        "42704"
    );
    assert_eq!(
        site.refusal("select hooks.grant_send('mine', null)").code,
        "42704"
    );
    assert_eq!(
        site.refusal("select hooks.grant_send('none', 'hooks_user')").code,
        "42704"
    );
    let _ = session(&site, &idle);
}
