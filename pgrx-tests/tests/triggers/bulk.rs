//! Many rows at once.

use crate::messages::site;

const ROWS: i64 = 100_000;

/// A table whose statements are counted by how often they insert into `hooks.message`.
const TABLE: &str = "create table t (id int primary key, name text);
  select hooks.watch('t', 'q', ordering_key => '{id}');
  create table statements (operation text);
  create function count_statement() returns trigger language plpgsql as $$
    begin insert into public.statements values (tg_op); return null; end $$;
  create trigger count_statement after insert on hooks.message for each statement execute function count_statement();";

#[test]
fn hundred_thousand_rows_are_one_insert() {
    let mut site = site(TABLE);
    for statement in [
        "insert into t select g, 'a' from generate_series(1, 100000) as g",
        "update t set name = 'b'",
        "delete from t",
    ] {
        site.run("delete from hooks.message; delete from statements");
        site.run(statement);
        let found: i64 = site.value("select count(*) from hooks.message");
        let keys: i64 = site.value("select count(distinct ordering_key) from hooks.message");
        let inserts: i64 = site.value("select count(*) from statements");
        assert_eq!((found, keys, inserts), (ROWS, ROWS, 1), "{statement}");
    }
}

#[test]
fn row_level_takes_many_rows_too() {
    let mut site = site(
        "create table t (id int);
         create trigger e after insert on t for each row execute function hooks.emit('q');",
    );
    site.run("insert into t select generate_series(1, 20000)");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 20_000);
}
