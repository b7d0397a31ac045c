//! Triggers FOR EACH STATEMENT with transition tables.

use serde_json::{Value, json};

use crate::messages::{deleted, inserted, site, taken, updated};

const TABLE: &str = "create table t (id int primary key, name text);
  create trigger i after insert on t referencing new table as whatever for each statement execute function hooks.emit('q');
  create trigger u after update on t referencing old table as \"Before\" new table as after for each statement execute function hooks.emit('q');
  create trigger d after delete on t referencing old table as gone for each statement execute function hooks.emit('q');";

#[test]
fn each_changed_row_is_a_message() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a'), (2, 'b'), (3, 'c')");
    let row = |id: i32, name: &str| json!({"id": id, "name": name});
    let all = [row(1, "a"), row(2, "b"), row(3, "c")];
    assert_eq!(taken(&mut site), all.clone().map(inserted));
    // The primary key changes too: rows are not paired by it.
    site.run("update t set id = id + 10, name = upper(name) where id <> 2");
    let changed = json!(["id", "name"]);
    assert_eq!(
        taken(&mut site),
        [
            updated(row(1, "a"), row(11, "A"), changed.clone()),
            updated(row(3, "c"), row(13, "C"), changed)
        ]
    );
    site.run("delete from t where id = 2");
    assert_eq!(taken(&mut site), [deleted(row(2, "b"))]);
}

#[test]
fn statement_that_changes_no_row_sends_nothing() {
    let mut site = site(TABLE);
    site.run(
        "insert into t select 1, 'a' where false; update t set name = 'b'; delete from t;
         insert into t values (1, 'a')",
    );
    taken(&mut site);
    site.run("update t set name = name");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
}

#[test]
fn several_triggers_read_the_same_transition_tables() {
    let mut site = site(TABLE);
    site.run(
        "create trigger u2 after update on t referencing old table as o new table as n for each statement
           execute function hooks.emit('q', 'columns=name');
         create table seen (old text, new text);
         create function look() returns trigger language plpgsql as $$
           begin insert into seen select o.name, n.name from o join n using (id); return null; end $$;
         create trigger t after update on t referencing old table as o new table as n for each statement
           execute function look();
         insert into t select g, 'x' from generate_series(1, 100) as g",
    );
    taken(&mut site);
    site.run("update t set name = 'y'");
    assert_eq!(taken(&mut site).len(), 200);
    assert_eq!(
        site.value::<i64>("select count(*) from seen where old = 'x' and new = 'y'"),
        100
    );
}

#[test]
fn upsert_sends_inserts_and_updates() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a')");
    taken(&mut site);
    site.run("insert into t values (1, 'b'), (2, 'c') on conflict (id) do update set name = excluded.name");
    let bodies = taken(&mut site);
    let mut operations: Vec<&str> = bodies.iter().map(|body| body["op"].as_str().unwrap()).collect();
    operations.sort_unstable();
    assert_eq!(operations, ["insert", "update"]);
}

#[test]
fn rows_of_children_are_seen_through_their_parent() {
    let mut site = site(TABLE);
    site.run("create table child (extra text) inherits (t); insert into child values (7, 'c', 'x')");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    site.run("update t set name = 'd'");
    let (old, new) = (json!({"id": 7, "name": "c"}), json!({"id": 7, "name": "d"}));
    assert_eq!(taken(&mut site), [updated(old, new, json!(["name"]))]);
}

#[test]
fn many_rows_keep_their_order_beyond_work_mem() {
    let mut site = site(TABLE);
    site.run(
        "set work_mem = '64kB'; insert into t select g, repeat('x', 200) from generate_series(1, 5000) as g",
    );
    let in_order: bool = site.value(
        "select bool_and((body::json #>> '{new,id}')::int = place) and count(*) = 5000
         from (select body, row_number() over (order by id) as place from hooks.message) as m",
    );
    assert!(in_order);
    site.run("delete from hooks.message; update t set name = id::text");
    let paired: bool = site.value(
        "select bool_and(body::json #>> '{old,id}' = body::json #>> '{new,name}') and count(*) = 5000 from hooks.message",
    );
    assert!(paired);
}

#[test]
fn trigger_without_its_transition_tables_says_so() {
    let mut site = site(
        "create table t (id int);
         create trigger e after update on t referencing new table as n for each statement execute function hooks.emit('q');
         insert into t values (1);",
    );
    let refused = site.refusal("update t set id = 2");
    assert_eq!(refused.code, "22023");
    assert_eq!(
        refused.message,
        "a statement-level update trigger needs its transition tables"
    );
}
