//! Partitioned tables and inheritance.

use pg_hooks_tests::site::{run, value};
use serde_json::{Value, json};

use crate::messages::{deleted, inserted, of_t, site, taken, updated};

/// Partitions whose columns stand in other places than those of their table.
const TABLE: &str = "create table t (id int, part text, primary key (id, part)) partition by list (part);
  create table a (dropped int, part text not null, id int not null);
  alter table a drop column dropped;
  alter table t attach partition a for values in ('a');
  create table b partition of t for values in ('b', 'c') partition by list (part);
  create table bb partition of b for values in ('b');";

fn row(id: i32, part: &str) -> Value {
    json!({ "id": id, "part": part })
}

#[test]
fn watch_sees_writes_to_the_table_and_to_its_partitions_once() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('t', 'q')");
    site.run("insert into t values (1, 'a'), (2, 'b'); insert into a (id, part) values (3, 'a'); insert into bb values (4, 'b')");
    let expected = [row(1, "a"), row(2, "b"), row(3, "a"), row(4, "b")].map(inserted);
    assert_eq!(taken(&mut site), expected);
    site.run("update bb set id = 5 where id = 4; delete from t where id = 5; truncate t");
    let expected = [
        updated(row(4, "b"), row(5, "b"), json!(["id"])),
        deleted(row(5, "b")),
        of_t("truncate", Value::Null, Value::Null, Value::Null),
    ];
    assert_eq!(taken(&mut site), expected);
}

#[test]
fn partitions_that_come_later_are_watched_and_those_that_leave_are_not() {
    let mut site = site(TABLE);
    site.run(
        "select hooks.watch('t', 'q', operations => '{insert}');
         create table c partition of b for values in ('c'); insert into c values (1, 'c')",
    );
    assert_eq!(taken(&mut site), [inserted(row(1, "c"))]);
    site.run("alter table b detach partition c; insert into c values (2, 'c')");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    assert_eq!(site.value::<i64>("select count(*) from hooks.watches"), 1);
}

/// As PostgreSQL has it: for triggers of rows, moving is deleting and inserting.
#[test]
fn row_that_moves_is_deleted_and_inserted_for_a_watch() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a'); select hooks.watch('t', 'q'); update t set part = 'b'");
    assert_eq!(taken(&mut site), [deleted(row(1, "a")), inserted(row(1, "b"))]);
}

#[test]
fn row_that_moves_is_updated_for_a_watch_of_statements() {
    let mut site = site(TABLE);
    site.run("insert into t values (1, 'a'); select hooks.watch('t', 'q', for_each => 'statement'); update t set part = 'b'");
    assert_eq!(
        taken(&mut site),
        [updated(row(1, "a"), row(1, "b"), json!(["part"]))]
    );
    site.run("insert into a (id, part) values (3, 'a')");
    assert_eq!(
        taken(&mut site),
        Vec::<Value>::new(),
        "a statement that names a partition"
    );
}

/// A pair that cannot be told is not made up.
#[test]
fn row_that_is_swallowed_on_its_way_leaves_the_others_unpaired() {
    let mut site = site(TABLE);
    site.run(
        "create function swallow() returns trigger language plpgsql as $$
           begin if new.id = 1 then return null; end if; return new; end $$;
         create trigger swallow before insert on bb for each row execute function swallow();
         insert into t values (1, 'a'), (2, 'a');
         select hooks.watch('t', 'q', for_each => 'statement');
         update t set part = 'b'",
    );
    let alone = |old: Value, new: Value| of_t("update", old, new, Value::Null);
    let expected = [
        alone(row(1, "a"), Value::Null),
        alone(row(2, "a"), Value::Null),
        alone(Value::Null, row(2, "b")),
    ];
    assert_eq!(taken(&mut site), expected);
}

#[test]
fn partition_can_be_watched_by_itself() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('a', 'q'); insert into t values (1, 'a'), (2, 'b')");
    let bodies = taken(&mut site);
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["table"], "a");
}

#[test]
fn child_is_watched_whatever_table_a_statement_names() {
    let mut site = site(
        "create table parent (id int); create table t () inherits (parent); select hooks.watch('t', 'q');",
    );
    site.run("insert into t values (1); update parent set id = 2");
    let (old, new) = (json!({"id": 1}), json!({"id": 2}));
    assert_eq!(
        taken(&mut site),
        [inserted(old.clone()), updated(old, new, json!(["id"]))]
    );
}

/// The transaction does not see the trigger of the partition, but its rows are routed there.
#[test]
fn partition_that_is_younger_than_the_snapshot_sends_as_its_table() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('t', 'q')");
    let mut old = site.connect();
    run(
        &mut old,
        "begin isolation level repeatable read; select count(*) from pg_class",
    );
    site.run("create table c partition of b for values in ('c')");
    run(
        &mut old,
        "insert into t values (1, 'c'); commit; insert into t values (2, 'c')",
    );
    assert_eq!(taken(&mut site), [inserted(row(1, "c")), inserted(row(2, "c"))]);
}

/// The owner of the table may not send, and need not.
#[test]
fn partition_that_is_younger_than_the_snapshot_sends_on_the_right_of_who_watches() {
    let mut site = site(TABLE);
    let mut watcher = site.connect_as_member("hooks_sender");
    let name: String = value(&mut watcher, "select current_user::text");
    site.run(&format!(
        "create role owner_{0}; grant create on schema public to owner_{0};
         alter table t owner to owner_{0}; alter table b owner to owner_{0};
         grant all on t, a, b, bb to {name}",
        site.database
    ));
    run(&mut watcher, "select hooks.watch('t', 'q')");
    let mut old = site.connect();
    run(
        &mut old,
        "begin isolation level repeatable read; select count(*) from pg_class",
    );
    site.run(&format!(
        "create table c partition of b for values in ('c'); alter table c owner to owner_{}",
        site.database
    ));
    run(&mut old, "insert into t values (1, 'c'); commit");
    assert_eq!(taken(&mut site), [inserted(row(1, "c"))]);
}
