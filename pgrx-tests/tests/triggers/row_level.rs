//! Triggers FOR EACH ROW.

use pg_hooks_tests::site::Site;
use serde_json::{Value, json};

use crate::messages::{deleted, inserted, of_t, site, taken, updated};

const TABLE: &str = "create table t (id int primary key, name text);
                     create trigger e after insert or update or delete on t
                       for each row execute function hooks.emit('q');";

#[test]
fn each_changed_row_is_a_message() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a'), (2, 'b')");
    assert_eq!(
        taken(&mut site),
        [
            inserted(json!({"id": 1, "name": "a"})),
            inserted(json!({"id": 2, "name": "b"}))
        ]
    );
    site.run("update t set name = 'c' where id = 1; delete from t where id = 2");
    let (old, new) = (json!({"id": 1, "name": "a"}), json!({"id": 1, "name": "c"}));
    assert_eq!(
        taken(&mut site),
        [
            updated(old, new, json!(["name"])),
            deleted(json!({"id": 2, "name": "b"}))
        ]
    );
}

#[test]
fn truncate_is_a_message_without_rows() {
    let mut site = site(
        "create table t (id int);
         create trigger e after truncate on t execute function hooks.emit('q');",
    );
    site.run("insert into t values (1); truncate t");
    let expected = of_t("truncate", Value::Null, Value::Null, Value::Null);
    assert_eq!(taken(&mut site), [expected]);
}

/// Keys in the order that documents promise, and a time and transaction that are those of the change.
#[test]
fn body_has_its_fields_in_order_with_time_and_transaction() {
    let mut site = site(TABLE);
    site.run("set timezone = 'Asia/Tokyo'; create temp table clock as select clock_timestamp() as begun");
    site.run(
        "begin; insert into t values (1, 'a'); create temp table own as select txid_current() as id; commit",
    );
    let body: String = site.value("select body from hooks.message");
    let parsed: Value = serde_json::from_str(&body).unwrap();
    let fields: Vec<&String> = parsed.as_object().unwrap().keys().collect();
    let expected = ["op", "schema", "table", "old", "new", "changed", "at", "txid"];
    assert_eq!(fields, expected);
    assert!(parsed["at"].as_str().unwrap().ends_with("+00:00"), "{body}");
    let is_between: bool = site.value(
        "select (m.body::json ->> 'at')::timestamptz between c.begun and clock_timestamp()
         from hooks.message as m, clock as c",
    );
    assert!(is_between, "{body}");
    let is_own: bool =
        site.value("select (m.body::json ->> 'txid')::bigint = o.id from hooks.message as m, own as o");
    assert!(is_own, "{body}");
}

#[test]
fn update_that_changes_nothing_sends_nothing() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a'), (2, null)");
    taken(&mut site);
    site.run("update t set name = name; update t set id = id where id = 2");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
}

#[test]
fn when_conditions_work() {
    let mut site = site(
        "create table t (id int primary key, name text);
         create trigger e after update on t for each row when (new.name is distinct from old.name and new.id > 1)
           execute function hooks.emit('q');
         insert into t values (1, 'a'), (2, 'b');",
    );
    site.run("update t set name = 'x'");
    assert_eq!(taken(&mut site).len(), 1);
}

#[test]
fn deferred_trigger_sends_at_commit() {
    let mut site = site(
        "create table t (id int);
         create constraint trigger e after insert on t deferrable initially deferred
           for each row execute function hooks.emit('q');
         begin; insert into t values (1);",
    );
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    site.run("commit");
    assert_eq!(taken(&mut site), [inserted(json!({"id": 1}))]);
}

#[test]
fn what_rolls_back_is_not_sent() {
    let mut site = site(TABLE);
    site.run(
        "begin; insert into t values (1, 'a'); savepoint s; insert into t values (2, 'b'); rollback to s; commit;
         begin; insert into t values (3, 'c'); rollback",
    );
    assert_eq!(taken(&mut site), [inserted(json!({"id": 1, "name": "a"}))]);
}

#[test]
fn upsert_and_merge_send_what_they_did() {
    let mut site = site(TABLE);
    site.run(
        "insert into t values (1, 'a');
         insert into t values (1, 'b'), (2, 'c') on conflict (id) do update set name = excluded.name;
         merge into t using (values (1, 'd'), (3, 'e')) as s(id, name) on t.id = s.id
           when matched then update set name = s.name when not matched then insert values (s.id, s.name)",
    );
    let operations: Vec<Value> = taken(&mut site).iter().map(|body| body["op"].clone()).collect();
    assert_eq!(operations, ["insert", "update", "insert", "update", "insert"]);
}

/// Values of all kinds look as to_json() shows them.
#[test]
fn values_look_as_in_to_json() {
    let mut site = site(
        "create type mood as enum ('sad', 'happy');
         create type pair as (a int, b text);
         create domain positive as int check (value > 0);
         create table t (i bigint, n numeric, f float8, b boolean, d date, ts timestamptz, j json, jb jsonb,
           a text[], m mood, p pair, r int4range, u uuid, y bytea, s \"char\", iv interval, x positive, g int generated always as (1) stored);
         create trigger e after insert on t for each row execute function hooks.emit('q');
         insert into t values (9007199254740993, 'NaN', 'infinity', true, '2024-02-29', '2024-02-29 12:00+01',
           '{\"b\" : 1, \"a\":2}', '{\"b\" : 1, \"a\":2}', array['x', null, '\"'], 'happy', row(1, 'é'), '[1,2)',
           '00000000-0000-0000-0000-000000000001', '\\x00ff', 'c', '1 day 2 hours', 7);
         insert into t default values",
    );
    let same: bool = site.value(
        "select bool_and(m.new = t.row)
         from (select (body::jsonb -> 'new') as new, row_number() over (order by id) as place from hooks.message) as m
         join (select to_jsonb(t) as row, row_number() over () as place from t) as t using (place)",
    );
    assert!(same);
    let kept: bool = site.value("select bool_or(body like '%{\"b\" : 1, \"a\":2}%') from hooks.message");
    assert!(kept, "the text of json is kept");
}

#[test]
fn names_are_escaped() {
    let mut site = site(
        "create schema \"s\"\"1\"; create table \"s\"\"1\".\"t\\é\" (\"a\"\"b\" int);
         create trigger e after insert or update on \"s\"\"1\".\"t\\é\" for each row execute function hooks.emit('q');
         insert into \"s\"\"1\".\"t\\é\" values (1); update \"s\"\"1\".\"t\\é\" set \"a\"\"b\" = 2;",
    );
    let bodies = taken(&mut site);
    assert_eq!(bodies[0]["schema"], "s\"1");
    assert_eq!(bodies[0]["table"], "t\\é");
    assert_eq!(bodies[1]["changed"], json!(["a\"b"]));
}

#[test]
fn message_of_a_trigger_is_delivered() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(TABLE);
    site.run("insert into t values (1, 'a')");
    let arrived = site.arrival("q");
    assert_eq!(arrived.header("content-type"), Some("application/json"));
    assert!(
        arrived.text().contains("\"new\":{\"id\":1,\"name\":\"a\"}"),
        "{}",
        arrived.text()
    );
}
