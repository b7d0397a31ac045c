//! Sending from wherever SQL runs.

use pg_hooks_tests::Receiver;
use postgres::Client;

use crate::database::{Database, SOON, column, run, value};
use crate::policies::database_with_queue;

fn bodies(client: &mut Client) -> Vec<String> {
    column(client, "select body from hooks.message order by id")
}

#[test]
fn functions_of_every_kind_send() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.pause('good');
         create function in_sql(body text) returns bigint language sql
           as $$ select hooks.send('good', body) $$;
         create function in_plpgsql(body text) returns bigint language plpgsql as $$
         begin
           for i in 1..10 loop
             perform hooks.send('good', body || i);
           end loop;
           begin
             perform hooks.send('good', 'undone');
             raise exception 'undo';
           exception when raise_exception then null;
           end;
           return hooks.send('good', body);
         end $$;
         create procedure committing() language plpgsql as $$
         begin
           perform hooks.send('good', 'first');
           commit;
           perform hooks.send('good', 'second');
           rollback;
           perform hooks.send('good', 'third');
         end $$;
         select in_sql('a'), in_plpgsql('b')",
    );
    run(&mut client, "call committing()");
    run(
        &mut client,
        "do $$ begin perform hooks.send('good', 'done'); end $$",
    );
    let mut expected = vec!["a".to_owned()];
    expected.extend((1..=10).map(|number| format!("b{number}")));
    expected.extend(["b", "first", "third", "done"].map(str::to_owned));
    assert_eq!(bodies(&mut client), expected);
}

#[test]
fn trigger_function_sends() {
    let receiver = Receiver::start();
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('orders', '{}');
             create table orders (id integer, note text);
             create function tell() returns trigger language plpgsql as $$
             begin
               perform hooks.send('orders', to_jsonb(new));
               return null;
             end $$;
             create trigger tell after insert on orders for each row execute function tell();
             insert into orders values (1, 'one')",
            receiver.url("/orders")
        ),
    );
    assert_eq!(
        receiver.wait_for("/orders", 1, SOON)[0].text(),
        r#"{"id": 1, "note": "one"}"#
    );
}

#[test]
fn strict_isolation_levels_send() {
    let receiver = Receiver::start();
    let database = Database::new();
    let mut client = database.connect();
    run(
        &mut client,
        &format!("select hooks.create_queue('good', '{}')", receiver.url("/")),
    );
    for (done, level) in ["repeatable read", "serializable"].into_iter().enumerate() {
        run(
            &mut client,
            &format!(
                "begin isolation level {level};
                 select hooks.send('good', 'one');
                 select hooks.send('good', '2'::jsonb);
                 select hooks.send_batch('good', array['three', 'four']);
                 commit"
            ),
        );
        receiver.wait_for("/", 4 * (done + 1), SOON);
    }
}

#[test]
fn senders_that_share_no_data_do_not_conflict_when_serializable() {
    let database = database_with_queue();
    run(&mut database.connect(), "select hooks.pause('good')");
    let mut clients = [database.connect(), database.connect(), database.connect()];
    for client in &mut clients {
        run(
            client,
            "begin isolation level serializable; select hooks.send('good', 'x')",
        );
    }
    for client in &mut clients {
        run(client, "select hooks.send('good', 'y'); commit");
    }
    assert_eq!(bodies(&mut clients[0]).len(), 6);
}

#[test]
fn read_only_transaction_cannot_send() {
    let database = database_with_queue();
    let mut client = database.connect();
    let sent = client.batch_execute("begin read only; select hooks.send('good', 'x')");
    let error = sent.expect_err("a read-only transaction stored a message");
    assert_eq!(error.code().map(|code| code.code()), Some("25006"));
}

/// Everything here has a name that our functions use, and would do harm.
const TRAPS: &str = "
    create schema evil;
    create function evil.trap() returns boolean language plpgsql as
      $$ begin raise exception 'trapped'; end $$;
    create function evil.equal(text, text) returns boolean language sql as $$ select evil.trap() $$;
    create function evil.equal(bigint, bigint) returns boolean language sql as $$ select evil.trap() $$;
    create operator evil.= (leftarg = text, rightarg = text, function = evil.equal);
    create operator evil.= (leftarg = bigint, rightarg = bigint, function = evil.equal);
    create operator evil.< (leftarg = bigint, rightarg = bigint, function = evil.equal);
    create function evil.now() returns timestamptz language plpgsql as
      $$ begin raise exception 'trapped'; end $$;
    create function evil.length(text) returns integer language plpgsql as
      $$ begin raise exception 'trapped'; end $$;
    create function evil.format(text, text) returns text language plpgsql as
      $$ begin raise exception 'trapped'; end $$;
    create function evil.unnest(text[]) returns setof text language plpgsql as
      $$ begin raise exception 'trapped'; end $$;
    create domain evil.text as pg_catalog.text check (false);
    create domain evil.int8 as pg_catalog.int8 check (false);
    create domain evil.jsonb as pg_catalog.jsonb check (false);
    create table evil.queue (id bigint, name pg_catalog.text);
    create table evil.message (id bigint);
    set search_path = evil, pg_catalog";

#[test]
fn hostile_search_path_changes_nothing() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(&mut client, TRAPS);
    run(
        &mut client,
        r#"select hooks.create_queue('made', 'https://example.com/', 'PUT', '{"X-A": "b"}', '2 s', '{200}', 3,
             '{1 s}', null, null, 'good', 7, false, 'for a test');
           select hooks.alter_queue('made', name => 'other', reset => '{headers}');
           select hooks.pause('good');
           select hooks.resume('good');
           select hooks.pause('good');
           select hooks.send('good', 'x');
           select hooks.send('good', '1'::pg_catalog.jsonb);
           select hooks.send('good', 'x'::bytea);
           select hooks.send_batch('good', array['x']::pg_catalog.text[]);
           select hooks.send_batch('good', array['1']::pg_catalog.jsonb[]);
           select hooks.send_batch('good', array['x']::bytea[]);
           insert into hooks.message (queue_id, body)
             select id, 'x' from hooks.queue where name operator(pg_catalog.=) 'good';
           select hooks.send('good', 'x', at => '2100-01-01', headers => '{"X-A": "b"}');
           select * from hooks.status(1);
           select hooks.cancel(1);
           select hooks.redrive(1);
           select * from hooks.health();
           select * from hooks.worker;
           select hooks.drop_queue('other', cancel_messages => true)"#,
    );
    let stored: i64 = value(&mut database.connect(), "select count(*) from hooks.message");
    assert_eq!(stored, 7);
}

#[test]
fn temporary_objects_change_nothing() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.pause('good');
         create function pg_temp.now() returns timestamptz language plpgsql as
           $$ begin raise exception 'trapped'; end $$;
         create temporary table queue (id bigint, name text);
         create temporary table message (id bigint);
         set search_path = pg_temp, pg_catalog;
         select hooks.send('good', 'x');
         select hooks.send('good', '1'::jsonb);
         select hooks.send_batch('good', array['x'])",
    );
    let stored: i64 = value(&mut client, "select count(*) from hooks.message");
    assert_eq!(stored, 3);
}
