//! Tables that are altered under their triggers, within one session and between sessions.

use pg_hooks_tests::site::run;
use serde_json::json;

use crate::messages::{site, taken};

const TABLE: &str = "create table t (id int primary key, name text, secret text);
  create trigger r after insert on t for each row execute function hooks.emit('q', 'exclude=secret');
  create trigger s after update on t referencing old table as o new table as n for each statement
    execute function hooks.emit('q');
  insert into t values (1, 'a', 'x');";

#[test]
fn columns_come_and_go() {
    let mut site = site(TABLE);
    taken(&mut site);
    site.run("alter table t add column extra int default 7; insert into t values (2, 'b', 'y')");
    assert_eq!(
        taken(&mut site)[0]["new"],
        json!({"id": 2, "name": "b", "extra": 7})
    );
    site.run("alter table t drop column name; update t set extra = 8 where id = 1");
    let bodies = taken(&mut site);
    assert_eq!(bodies[0]["old"], json!({"id": 1, "secret": "x", "extra": 7}));
    assert_eq!(bodies[0]["new"], json!({"id": 1, "secret": "x", "extra": 8}));
    site.run("alter table t rename column extra to more; alter table t alter more type text; update t set more = 'z' where id = 2");
    let bodies = taken(&mut site);
    assert_eq!(bodies[0]["changed"], json!(["more"]));
    assert_eq!(bodies[0]["old"], json!({"id": 2, "secret": "y", "more": "7"}));
}

#[test]
fn alterations_within_a_transaction_and_their_rollback_are_followed() {
    let mut site = site(TABLE);
    taken(&mut site);
    site.run("begin; alter table t add column extra int; insert into t values (2, 'b', 'y', 1); rollback; insert into t values (2, 'b', 'y')");
    assert_eq!(taken(&mut site)[0]["new"], json!({"id": 2, "name": "b"}));
}

#[test]
fn alterations_of_another_session_are_followed() {
    let mut site = site(TABLE);
    taken(&mut site);
    run(
        &mut site.connect(),
        "alter table t rename column name to title; alter table t rename to u; create schema other; alter table u set schema other",
    );
    site.run("insert into other.u values (2, 'b', 'y')");
    let body = taken(&mut site).remove(0);
    assert_eq!((&body["schema"], &body["table"]), (&json!("other"), &json!("u")));
    assert_eq!(body["new"], json!({"id": 2, "title": "b"}));
    run(&mut site.connect(), "alter schema other rename to third");
    site.run("insert into third.u values (3, 'b', 'y')");
    assert_eq!(taken(&mut site)[0]["schema"], "third");
}

/// Leaving out by a name that is gone would send a column that was renamed.
#[test]
fn lists_that_name_what_is_gone_fail_the_statement_and_say_which() {
    let mut site = site(TABLE);
    taken(&mut site);
    site.run("alter table t rename column secret to hidden");
    let refused = site.refusal("insert into t values (2, 'b', 'y')");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("42703", "column \"secret\" does not exist")
    );
    assert!(refused.hint.contains("exclude"), "{refused:?}");
    // The other trigger has no list, and goes on.
    site.run("update t set hidden = 'z'");
    assert_eq!(taken(&mut site).len(), 1);
    site.run("alter table t rename column hidden to secret; insert into t values (2, 'b', 'y')");
    assert_eq!(taken(&mut site)[0]["new"], json!({"id": 2, "name": "b"}));
}

#[test]
fn trigger_that_is_replaced_is_followed() {
    let mut site = site(TABLE);
    taken(&mut site);
    run(
        &mut site.connect(),
        "create or replace trigger r after insert on t for each row execute function hooks.emit('q', 'columns=id')",
    );
    site.run("insert into t values (2, 'b', 'y')");
    assert_eq!(taken(&mut site)[0]["new"], json!({"id": 2}));
}

#[test]
fn extension_that_is_made_anew_is_followed() {
    let mut site = site(TABLE);
    site.run(
        "drop extension pg_hooks cascade; create extension pg_hooks;
         select hooks.create_queue('other', 'https://example.com/', active => false);
         select hooks.create_queue('q', 'https://example.com/', active => false);
         create trigger r after insert on t for each row execute function hooks.emit('q');
         insert into t values (2, 'b', 'y')",
    );
    assert_eq!(taken(&mut site).len(), 1);
}

#[test]
fn extension_is_not_dropped_under_its_triggers() {
    let mut site = site(TABLE);
    assert_eq!(site.refusal("drop extension pg_hooks").code, "2BP01");
}
