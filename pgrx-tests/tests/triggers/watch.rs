//! hooks.watch(), hooks.unwatch() and hooks.watches.

use pg_hooks_tests::site::Refusal;
use serde_json::{Value, json};

use crate::messages::{inserted, site, taken};

const TABLE: &str = "create table t (id int primary key, name text, \"createdAt\" date);";

fn refused(code: &str, message: &str, hint: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}

#[test]
fn watch_sends_all_operations_and_unwatch_ends_it() {
    let mut site = site(TABLE);
    assert_eq!(site.value::<String>("select hooks.watch('t', 'q')"), "q");
    let script = "insert into t values (1, 'a'); update t set name = 'b'; delete from t; truncate t";
    site.run(script);
    let operations: Vec<Value> = taken(&mut site).iter().map(|body| body["op"].clone()).collect();
    assert_eq!(operations, ["insert", "update", "delete", "truncate"]);
    assert_eq!(site.value::<i32>("select hooks.unwatch('t')"), 1);
    site.run(script);
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    assert_eq!(
        site.value::<i64>("select count(*) from pg_trigger where tgrelid = 't'::regclass"),
        0
    );
}

#[test]
fn watches_lists_what_was_asked_for() {
    let mut site = site(TABLE);
    site.run(
        r#"select hooks.watch('t', 'queue=q', '{delete,insert}', columns => '{id,createdAt}', ordering_key => '{id}',
             headers => '{"x-a": "b"}', condition => 'pg_trigger_depth() < 9', name => 'mine')"#,
    );
    let listed: Value = site.value("select to_json(w) from hooks.watches as w");
    let expected = json!({
        "relation": "t", "name": "mine", "queue": "q", "event_type": null,
        "operations": ["insert", "delete"], "for_each": "row",
        "columns": ["id", "createdAt"], "exclude": null, "ordering_key": ["id"], "headers": ["x-a"],
        "condition": "(pg_trigger_depth() < 9)", "enabled": true,
        "triggers": ["hooks_watch:mine:delete", "hooks_watch:mine:insert"], "problem": null,
        "owner": "postgres", "stopped": null
    });
    assert_eq!(listed, expected);
    site.run("alter table t disable trigger \"hooks_watch:mine:insert\"");
    assert!(!site.value::<bool>("select enabled from hooks.watches"));
}

#[test]
fn watches_lists_triggers_made_by_hand() {
    let mut site = site(TABLE);
    site.run(
        "create trigger by_hand after insert or update on t for each row execute function hooks.emit('q', 'exclude=name');
         create trigger broken after delete on t for each row execute function hooks.emit('q', 'exclude=');",
    );
    let listed: Vec<String> = site.column("select concat_ws('|', name, operations, exclude, triggers, problem) from hooks.watches order by triggers desc");
    assert_eq!(
        listed,
        [
            "{insert,update}|{name}|{by_hand}",
            "{delete}|{broken}|option \"exclude\" is not a list of column names"
        ]
    );
    assert_eq!(site.value::<i32>("select hooks.unwatch('t')"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.watches"), 2);
}

#[test]
fn several_watches_of_a_table_go_by_their_names() {
    let mut site = site(TABLE);
    site.run(
        "select hooks.watch('t', 'q', '{insert}');
         select hooks.watch('t', 'q', '{insert}', columns => '{id}', name => 'short');
         insert into t values (1, 'a')",
    );
    let bodies = taken(&mut site);
    assert_eq!(
        bodies,
        [
            inserted(json!({"id": 1, "name": "a", "createdAt": null})),
            inserted(json!({"id": 1}))
        ]
    );
    assert_eq!(site.value::<i32>("select hooks.unwatch('t', 'short')"), 1);
    assert_eq!(site.column::<String>("select name from hooks.watches"), ["q"]);
}

/// Types and operators of the condition are those that its writer sees.
#[test]
fn condition_is_read_in_the_path_of_the_caller() {
    let mut site = site(
        "create schema app; create type app.mood as enum ('sad', 'happy'); create table t (m app.mood);",
    );
    site.run(
        "set search_path = app, public;
         select hooks.watch('t', 'q', '{insert}', condition => 'new.m > mood ''sad''');
         insert into t values ('sad'), ('happy')",
    );
    assert_eq!(taken(&mut site), [inserted(json!({"m": "happy"}))]);
    assert_eq!(site.value::<String>("show search_path"), "app, public");
}

#[test]
fn problems_show_before_they_bite() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('t', 'q', columns => '{id,name}')");
    let problem = "select problem from hooks.watches";
    assert_eq!(site.value::<Option<String>>(problem), None);
    site.run("alter table t drop column name");
    assert_eq!(site.value::<String>(problem), "column \"name\" does not exist");
    site.run("alter table t add column name text; select hooks.drop_queue('q')");
    assert_eq!(site.value::<String>(problem), "queue \"q\" does not exist");
    assert_eq!(site.refusal("insert into t values (1)").code, "42704");
}

#[test]
fn mistakes_are_refused_and_make_nothing() {
    let mut site = site(TABLE);
    site.run("create view v as select * from t; select hooks.watch('t', 'q', '{insert}', name => 'there')");
    let correct = "Correct the arguments of hooks.watch(); nothing was made.";
    for (arguments, expected) in [
        (
            "'t', 'nowhere'",
            refused("42704", "queue \"nowhere\" does not exist", correct),
        ),
        (
            "'t', 'q', columns => '{nothing}'",
            refused("42703", "column \"nothing\" does not exist", correct),
        ),
        (
            "'t', 'q', columns => '{}'",
            refused(
                "22023",
                "option \"columns\" is not a list of column names",
                correct,
            ),
        ),
        (
            "'t', 'q', columns => '{id}', exclude => '{name}'",
            refused("22023", "options columns and exclude exclude each other", correct),
        ),
        (
            "'t', 'q', headers => '{\"a\": 1}'",
            refused("22023", "value of header \"a\" is not a string", correct),
        ),
        (
            "'t', 'q', '{insert,upsert}'",
            refused(
                "22023",
                "operations must be of insert, update, delete and truncate",
                "Give an array such as '{insert,update}', or leave it out for all.",
            ),
        ),
        (
            "'t', 'q', '{}'",
            refused(
                "22023",
                "operations must be of insert, update, delete and truncate",
                "Give an array such as '{insert,update}', or leave it out for all.",
            ),
        ),
        (
            "'t', 'q', for_each => 'table'",
            refused(
                "22023",
                "for_each must be row or statement",
                "Leave it out for what fits the table.",
            ),
        ),
        (
            "'t', 'q', '{truncate}', condition => 'true'",
            refused(
                "22023",
                "a condition cannot be asked of truncate, which has no rows",
                "Watch truncate under another name, without a condition.",
            ),
        ),
        (
            "'t', 'q', name => ''",
            refused(
                "22023",
                "watch name must have 1 to 42 bytes",
                "Give a shorter name => to hooks.watch().",
            ),
        ),
        (
            "'t', 'q', name => repeat('x', 43)",
            refused(
                "22023",
                "watch name must have 1 to 42 bytes",
                "Give a shorter name => to hooks.watch().",
            ),
        ),
        (
            "'t', 'q', name => 'there'",
            refused(
                "42710",
                "table t is already watched as \"there\"",
                "Remove it with hooks.unwatch(), or give another name => to hooks.watch().",
            ),
        ),
        (
            "'t', null",
            refused(
                "22023",
                "relation and target must not be null",
                "Give a table and a queue or event type, as in hooks.watch('orders', 'billing').",
            ),
        ),
        (
            "'v', 'q'",
            refused(
                "42809",
                "\"v\" is not a table",
                "Watch the tables that it takes its rows from.",
            ),
        ),
    ] {
        let mut refusal = site.refusal(&format!("select hooks.watch({arguments})"));
        refusal.message = refusal.message.replace("public.", "");
        assert_eq!(refusal, expected, "{arguments}");
    }
    let unknown = site.refusal("select hooks.unwatch('t', 'nothing')");
    assert_eq!(
        (unknown.code.as_str(), unknown.hint.as_str()),
        ("42704", "Look for its name in hooks.watches.")
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.watches"), 1);
}

#[test]
fn foreign_table_is_watched_without_truncate_where_it_has_no_such_trigger() {
    let mut site = site(
        "create foreign data wrapper w; create server s foreign data wrapper w;
         create foreign table f (id int) server s;",
    );
    site.run("select hooks.watch('f', 'q')");
    let version: i32 = site.value("select current_setting('server_version_num')::int");
    let watched: bool = site.value("select 'truncate' = any (operations) from hooks.watches");
    assert_eq!(watched, version >= 160_000);
    if version < 160_000 {
        let expected = refused(
            "0A000",
            "truncate of foreign table \"f\" cannot be watched",
            "Leave it out of the operations; foreign tables have such triggers from PostgreSQL 16 on.",
        );
        let mut refusal = site.refusal("select hooks.watch('f', 'q', '{truncate}', name => 'other')");
        refusal.message = refusal.message.replace("public.", "");
        assert_eq!(refusal, expected);
    }
}

#[test]
fn longest_name_and_odd_names_work() {
    let mut site = site("create table \"T 'x'\" (\"a\"\"'b\" int);");
    site.run(
        "select hooks.watch('\"T ''x''\"', 'q', columns => array['a\"''b'], name => repeat('x', 42));
         select hooks.watch('\"T ''x''\"', 'q', '{insert}', name => '\"%s: '' %');
         insert into \"T 'x'\" values (1); truncate \"T 'x'\"",
    );
    assert_eq!(taken(&mut site).len(), 3);
    assert_eq!(site.value::<i32>("select hooks.unwatch('\"T ''x''\"')"), 2);
}

/// A dump holds the triggers as it holds any other.
#[test]
fn definition_of_a_trigger_makes_the_same_trigger() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('t', 'q', columns => '{id,createdAt}', ordering_key => '{id}')");
    let listed = "select json_agg(w order by w.name)::text from hooks.watches as w";
    let before: String = site.value(listed);
    let definitions =
        site.column::<String>("select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 't'::regclass");
    site.run("select hooks.unwatch('t')");
    site.run(&definitions.join(";"));
    assert_eq!(site.value::<String>(listed), before);
}
