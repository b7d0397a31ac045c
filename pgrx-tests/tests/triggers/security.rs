//! As whom triggers run, and who may make them.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, refusal, run, value};
use postgres::Client;

use crate::messages::site;

/// A session of a new role that may log in, with a schema of its own.
fn role(site: &mut Site, name: &str) -> (String, Client) {
    let role = format!("{name}_{}", site.database);
    site.run(&format!(
        "create role {role} login; create schema authorization {role}"
    ));
    let client = Cluster::shared().connect_as(&role, &site.database);
    (role, client)
}

/// A type whose cast to JSON notes who runs it, and tries to make its maker a superuser.
fn set_trap(client: &mut Client, maker: &str) {
    run(
        client,
        &format!(
            "create type trap as enum ('x');
             create table sprung (who name);
             grant insert, select on sprung to public; grant usage on schema {maker} to public;
             create function spring(trap) returns json language plpgsql as $$
             begin
               insert into {maker}.sprung values (current_user);
               begin alter role {maker} superuser; exception when insufficient_privilege then null; end;
               return '\"caught\"';
             end $$;
             create cast (trap as json) with function spring(trap);
             create table t (id int, x trap);
             create table s (id int, x trap);
             grant insert, update, select on t, s to public"
        ),
    );
}

const TRIGGERS: &str = "create trigger e after insert on t for each row execute function hooks.emit('q', 'ordering_key=x');
  create trigger e after insert on s referencing new table as n for each statement execute function hooks.emit('q', 'ordering_key=x');";

#[test]
fn casts_of_users_run_as_whoever_changes_the_table() {
    let mut site = site("");
    let (maker, mut maker_client) = role(&mut site, "maker");
    let (writer, mut writer_client) = role(&mut site, "writer");
    site.run(&format!("grant hooks_sender to {maker}"));
    set_trap(&mut maker_client, &maker);
    run(&mut maker_client, TRIGGERS);
    for (client, who) in [(&mut maker_client, &maker), (&mut writer_client, &writer)] {
        for table in ["t", "s"] {
            run(client, &format!("insert into {maker}.{table} values (1, 'x')"));
            let seen: String = value(
                client,
                &format!("select string_agg(distinct who, ',') from {maker}.sprung"),
            );
            assert_eq!(&seen, who, "{table}");
            site.run(&format!("delete from {maker}.sprung"));
        }
    }
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message where body like '%\"x\":\"caught\"%'"),
        4
    );
    assert!(!site.value::<bool>(&format!(
        "select rolsuper from pg_roles where rolname = '{maker}'"
    )));
}

#[test]
fn writer_needs_no_rights_on_hooks_and_gets_none() {
    let mut site = site("create table t (id int); select hooks.watch('t', 'q');");
    let (writer, mut client) = role(&mut site, "writer");
    site.run(&format!("grant insert, update, select on t to {writer}"));
    run(&mut client, "insert into t values (1); update t set id = 2");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 2);
    assert_eq!(value::<String>(&mut client, "select current_user::text"), writer);
    assert_eq!(refusal(&mut client, "select * from hooks.message").code, "42501");
    assert_eq!(refusal(&mut client, "select hooks.send('q', 'x')").code, "42501");
}

/// The error comes while the trigger works as the owner.
#[test]
fn writer_is_the_writer_again_after_an_error() {
    let mut site = site("create table t (id int); select hooks.watch('t', 'q');");
    let (writer, mut client) = role(&mut site, "writer");
    site.run(&format!("grant insert on t to {writer}"));
    let mut blocker = site.connect();
    run(&mut blocker, "begin; lock table hooks.message in exclusive mode");
    run(&mut client, "set lock_timeout = '50ms'; begin; savepoint s");
    assert_eq!(refusal(&mut client, "insert into t values (1)").code, "55P03");
    run(&mut client, "rollback to s");
    assert_eq!(value::<String>(&mut client, "select current_user::text"), writer);
    assert_eq!(refusal(&mut client, "select * from hooks.message").code, "42501");
    run(&mut blocker, "rollback");
    run(&mut client, "rollback; insert into t values (1)");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 1);
}

#[test]
fn names_in_the_way_are_passed_by() {
    let mut site = site("create table t (id int); select hooks.watch('t', 'q', ordering_key => '{id}');");
    site.run(
        "create schema evil;
         create table evil.emitted (body text, ordering_key text);
         create table evil.pg_trigger (x int);
         create function evil.row_to_json(record) returns json language plpgsql as $$ begin return '\"evil\"'; end $$;
         create function evil.eq(text, text) returns boolean language sql as 'select true';
         create operator evil.= (function = evil.eq, leftarg = text, rightarg = text);
         create temp table emitted (body text, ordering_key text);
         set search_path = evil, public, pg_catalog;
         insert into t values (1)",
    );
    let stored: bool = site.value("select body like '%\"new\":{\"id\":1}%' and ordering_key operator(pg_catalog.=) '1' from hooks.message");
    assert!(stored);
}

#[test]
fn only_who_may_send_can_make_triggers() {
    let mut site = site("");
    let (maker, mut client) = role(&mut site, "maker");
    run(&mut client, "create table t (id int)");
    let trigger = "create trigger e after insert on t for each row execute function hooks.emit('q')";
    assert_eq!(refusal(&mut client, trigger).code, "42501");
    assert_eq!(refusal(&mut client, "select hooks.watch('t', 'q')").code, "42501");
    site.run(&format!("grant hooks_reader to {maker}"));
    assert_eq!(refusal(&mut client, trigger).code, "42501");
    assert_eq!(refusal(&mut client, "select hooks.watch('t', 'q')").code, "42501");
    site.run(&format!("grant hooks_sender to {maker}"));
    run(&mut client, trigger);
    run(
        &mut client,
        "select hooks.watch('t', 'q'); insert into t values (1)",
    );
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.watches"), 2);
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 2);
    run(&mut client, "select hooks.unwatch('t')");
}

#[test]
fn sender_cannot_watch_the_tables_of_others() {
    let mut site = site("create table t (id int);");
    let (maker, mut client) = role(&mut site, "maker");
    site.run(&format!(
        "grant hooks_sender to {maker}; grant select on t to {maker}"
    ));
    assert_eq!(refusal(&mut client, "select hooks.watch('t', 'q')").code, "42501");
    assert_eq!(
        refusal(&mut client, "select hooks.watch('hooks.queue', 'q')").code,
        "42501"
    );
    site.run("select hooks.watch('t', 'q')");
    assert_eq!(refusal(&mut client, "select hooks.unwatch('t')").code, "42501");
}
