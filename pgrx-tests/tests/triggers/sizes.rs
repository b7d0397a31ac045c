//! Rows that are too large for a message.

use serde_json::{Value, json};

use crate::messages::{site, taken};

fn oversized(body: &Value) -> bool {
    body.get("oversized") == Some(&json!(true))
}

#[test]
fn row_over_the_limit_is_told_by_its_primary_key() {
    let mut site = site(
        "create table t (id int, name text, part int, secret int, primary key (part, id, secret));
         select hooks.watch('t', 'q', exclude => '{secret}');",
    );
    site.run("insert into t values (1, repeat('x', 2000000), 7, 5), (2, 'small', 7, 5)");
    let bodies = taken(&mut site);
    assert!(oversized(&bodies[0]) && !oversized(&bodies[1]));
    assert_eq!(bodies[0]["new"], json!({"id": 1, "part": 7}));
    site.run("update t set name = name || 'y' where id = 1");
    let bodies = taken(&mut site);
    assert_eq!(bodies[0]["old"], bodies[0]["new"]);
    assert_eq!(bodies[0]["changed"], json!(["name"]));
}

#[test]
fn row_that_would_not_fit_into_memory_is_never_rendered() {
    let mut site = site(
        "create table t (id int primary key, name text);
         create trigger e after insert or delete on t for each row execute function hooks.emit('q');",
    );
    site.run("insert into t values (1, repeat(e'\\x01', 300000000)); delete from t");
    let bodies = taken(&mut site);
    assert!(bodies.iter().all(oversized));
    assert_eq!(bodies[1]["old"], json!({"id": 1}));
}

#[test]
fn row_without_a_primary_key_says_that_it_changed() {
    let mut site = site("create table t (name text); select hooks.watch('t', 'q');");
    site.run("insert into t values (repeat('x', 2000000))");
    let bodies = taken(&mut site);
    assert!(oversized(&bodies[0]));
    assert_eq!(bodies[0]["new"], json!({}));
}

/// Text just at the limit goes as it is.
#[test]
fn body_at_the_limit_is_whole() {
    let mut site = site("create table t (name text); select hooks.watch('t', 'q');");
    site.run("insert into t values ('')");
    let bare: i32 =
        site.value("select length(regexp_replace(body, '\"at\":\"[^\"]*\"', '')) from hooks.message");
    assert!(bare < 200);
    site.run("delete from hooks.message; insert into t values (repeat('x', 1048576 - 300))");
    assert!(!oversized(&taken(&mut site)[0]));
    site.run("insert into t values (repeat('x', 1048576))");
    assert!(oversized(&taken(&mut site)[0]));
}
