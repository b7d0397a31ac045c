//! A watch sends with the right of who made it, other triggers with that of the owner of their table.

use pg_hooks_tests::site::{Site, run, value};
use postgres::Client;

use crate::roles::{member, role, session};

const STOPPED: &str = "select stopped from hooks.watches";

/// A site with the queue `q`, which keeps its messages, and a table `t` on which anybody may put triggers.
#[track_caller]
fn site() -> Site {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run("create table t (id int); grant all on t to public");
    site
}

/// Changes the table, and says how many messages or events that made.
#[track_caller]
fn sent(client: &mut Client) -> i64 {
    let count = "select (select count(*) from hooks.message) + (select count(*) from hooks.event)";
    let before: i64 = value(client, count);
    run(client, "insert into t values (1)");
    value::<i64>(client, count) - before
}

/// Makes a sender who watches the table.
#[track_caller]
fn watched(site: &mut Site, target: &str) -> (String, Client) {
    let (maker, mut client) = member(site, "maker", "in role hooks_sender");
    run(
        &mut client,
        &format!("select hooks.watch('t', '{target}', '{{insert}}')"),
    );
    let owner: String = site.value("select owner::text from hooks.watches");
    assert_eq!(owner, maker);
    assert_eq!(sent(&mut site.client), 1);
    (maker, client)
}

#[test]
fn watch_stops_when_its_maker_loses_the_right_and_goes_on_when_it_is_back() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "q");
    site.run(&format!("revoke hooks_sender from {maker}"));
    assert_eq!(sent(&mut site.client), 0);
    let stopped: String = site.value(STOPPED);
    assert_eq!(
        stopped,
        format!("its owner \"{maker}\" may not send to its queue")
    );
    site.run(&format!("select hooks.grant_send('q', '{maker}')"));
    assert_eq!(sent(&mut site.client), 1);
    assert_eq!(site.value::<Option<String>>(STOPPED), None);
    site.run(&format!("select hooks.revoke_send('q', '{maker}')"));
    assert_eq!(sent(&mut site.client), 0);
    site.run(&format!("grant hooks_sender to {maker}"));
    assert_eq!(sent(&mut site.client), 1);
}

#[test]
fn watch_that_stopped_is_told_of_by_the_health() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "q");
    site.run(&format!("revoke hooks_sender from {maker}"));
    let seen: String =
        site.value("select status || ': ' || detail from hooks.health() where check_name = 'watches'");
    assert_eq!(
        seen,
        format!("warn: 1 watches do not send: public.t (its owner \"{maker}\" may not send to its queue)")
    );
    // As soon as a worker leads.
    site.wait_until("select hooks.is_healthy()");
    site.run("alter table t disable trigger all");
    let status: String = site.value("select status from hooks.health() where check_name = 'watches'");
    assert_eq!(
        status, "ok",
        "a watch that is switched off has not stopped by itself"
    );
}

#[test]
fn watch_of_a_dropped_role_is_not_that_of_a_later_one() {
    let mut site = site();
    let (maker, client) = watched(&mut site, "q");
    drop(client);
    site.run(&format!("drop role {maker}"));
    assert_eq!(sent(&mut site.client), 0);
    let gone = format!("its owner \"{maker}\" is gone");
    assert_eq!(site.value::<String>(STOPPED), gone);
    role(&mut site, "maker", "in role hooks_sender");
    assert_eq!(sent(&mut site.client), 0);
    assert_eq!(site.value::<String>(STOPPED), gone);
    site.run("select hooks.adopt_roles()");
    assert_eq!(sent(&mut site.client), 1);
}

#[test]
fn watch_that_publishes_needs_a_maker_who_may() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "t.{op}");
    site.run(&format!(
        "revoke hooks_sender from {maker}; select hooks.grant_send('q', '{maker}')"
    ));
    assert_eq!(sent(&mut site.client), 0);
    let stopped: String = site.value(STOPPED);
    assert_eq!(stopped, format!("its owner \"{maker}\" may not publish events"));
}

#[test]
fn watch_that_somebody_else_makes_anew_is_his() {
    let mut site = site();
    let (maker, mut client) = watched(&mut site, "q");
    site.run("select hooks.unwatch('t')");
    assert_eq!(site.value::<i64>("select count(*) from hooks.watch_owner"), 0);
    site.run("select hooks.watch('t', 'q', '{insert}')");
    site.run(&format!("revoke hooks_sender from {maker}"));
    assert_eq!(sent(&mut site.client), 1);
    // Nor can one take over what is not his to make.
    site.run(&format!(
        "grant hooks_sender to {maker}; revoke all on t from public; grant insert on t to {maker}"
    ));
    let taken = pg_hooks_tests::site::refusal(&mut client, "select hooks.own_watch('t', 'q')");
    assert_eq!(taken.code, crate::roles::DENIED);
    assert_eq!(
        site.value::<String>("select owner::text from hooks.watches"),
        "postgres"
    );
}

#[test]
fn trigger_by_hand_sends_while_the_owner_of_the_table_may() {
    let mut site = site();
    let (maker, mut client) = member(&mut site, "maker", "in role hooks_sender");
    let by_hand = "create trigger e after insert on t for each row execute function hooks.emit('q')";
    run(&mut client, by_hand);
    let owner = "select owner::text from hooks.watches";
    assert_eq!(site.value::<String>(owner), "postgres");
    assert_eq!(sent(&mut site.client), 1);
    let (other, _) = member(&mut site, "other", "");
    site.run(&format!("alter table t owner to {other}"));
    assert_eq!(site.value::<String>(owner), other);
    assert_eq!(sent(&mut site.client), 0);
    let stopped: String = site.value(STOPPED);
    assert_eq!(
        stopped,
        format!("its owner \"{other}\" may not send to its queue")
    );
    site.run(&format!("alter table t owner to {maker}"));
    assert_eq!(sent(&mut site.client), 1);
}

#[test]
fn watch_keeps_no_right_by_another_name_or_other_arguments() {
    let mut site = site();
    let (maker, mut client) = member(&mut site, "maker", "in role hooks_sender");
    site.run(&format!(
        "alter table t owner to {maker}; select hooks.watch('t', 'q', '{{insert}}')"
    ));
    run(
        &mut client,
        "alter trigger \"hooks_watch:q:insert\" on t rename to mine",
    );
    let owner = "select owner::text from hooks.watches";
    assert_eq!(site.value::<String>(owner), maker);
    run(&mut client, "drop trigger mine on t");
    run(
        &mut client,
        "create trigger \"hooks_watch:q:insert\" after insert on t for each row execute function hooks.emit('q', 'columns=id')",
    );
    assert_eq!(site.value::<String>(owner), maker);
    site.run(&format!("revoke hooks_sender from {maker}"));
    assert_eq!(sent(&mut site.client), 0);
}

#[test]
fn right_that_is_taken_back_stops_sessions_that_have_used_it() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "q");
    site.run(&format!(
        "select hooks.grant_send('q', '{maker}'); revoke hooks_sender from {maker}"
    ));
    let mut writer = site.connect();
    assert_eq!(sent(&mut writer), 1);
    // Also under a snapshot from before.
    run(
        &mut writer,
        "begin isolation level repeatable read; select from hooks.queue",
    );
    site.run(&format!("select hooks.revoke_send('q', '{maker}')"));
    assert_eq!(sent(&mut writer), 0);
    run(&mut writer, "commit");
    assert_eq!(sent(&mut writer), 0);
    // And the other way round.
    run(
        &mut writer,
        "begin isolation level repeatable read; select from hooks.queue",
    );
    site.run(&format!("select hooks.grant_send('q', '{maker}')"));
    assert_eq!(sent(&mut writer), 1);
    run(&mut writer, "commit");
    assert_eq!(sent(&mut writer), 1);
}

#[test]
fn right_that_is_given_in_the_same_transaction_counts() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "q");
    site.run(&format!("revoke hooks_sender from {maker}"));
    site.run("begin");
    assert_eq!(sent(&mut site.client), 0);
    site.run(&format!("select hooks.grant_send('q', '{maker}')"));
    assert_eq!(sent(&mut site.client), 1);
    site.run(&format!("select hooks.revoke_send('q', '{maker}')"));
    assert_eq!(sent(&mut site.client), 0);
    site.run("rollback");
    assert_eq!(sent(&mut site.client), 0);
}

#[test]
fn partitions_send_with_the_right_of_who_watches_the_partitioned_table() {
    let mut site = site();
    site.run(
        "drop table t;
         create table t (id int) partition by list (id);
         create table t1 partition of t default;
         grant all on t, t1 to public",
    );
    let (maker, _) = watched(&mut site, "q");
    let (other, _) = member(&mut site, "other", "");
    site.run(&format!("alter table t1 owner to {other}"));
    assert_eq!(sent(&mut site.client), 1);
    site.run(&format!("revoke hooks_sender from {maker}"));
    assert_eq!(sent(&mut site.client), 0);
}

#[test]
fn restored_watch_is_that_of_its_maker() {
    let mut site = site();
    let (maker, _) = watched(&mut site, "q");
    let cluster = pg_hooks_tests::Cluster::shared();
    let dump = cluster.dump(&site.database);
    let copy = format!("{}_copy", site.database);
    cluster.create_database(&copy);
    cluster
        .psql(
            &copy,
            &format!("set session_replication_role = replica; begin;\n{dump}\ncommit;"),
        )
        .expect("restored");
    let mut client = cluster.connect(&copy);
    assert_eq!(
        value::<String>(&mut client, "select owner::text from hooks.watches"),
        maker
    );
    site.run(&format!("revoke hooks_sender from {maker}"));
    assert_eq!(sent(&mut client), 0);
    drop(client);
    cluster.drop_database(&copy).unwrap();
    drop(session(&site, &maker));
}
