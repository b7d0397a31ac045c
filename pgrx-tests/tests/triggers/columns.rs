//! Which columns messages show, and what makes their ordering key.

use serde_json::{Value, json};

use crate::messages::{site, taken};

/// A table with these arguments of its trigger, which fires for each row and, in another table, for the
/// statement.
fn both_levels(arguments: &str) -> String {
    format!(
        "create table t (id int, \"Total\" int, \"a,\"\"b\" int, secret text);
         create trigger e after insert or update or delete on t for each row execute function hooks.emit('q', {arguments});
         create table s (like t);
         create trigger i after insert on s referencing new table as n for each statement execute function hooks.emit('q', {arguments});
         create trigger u after update on s referencing old table as o new table as n for each statement execute function hooks.emit('q', {arguments});"
    )
}

const INSERT: &str = "insert into t values (1, 2, 3, 'x'); insert into s values (1, 2, 3, 'x')";

#[test]
fn only_the_named_columns_are_shown() {
    let mut site = site(&both_levels(r#"'columns=Total,"a,""b"'"#));
    site.run(INSERT);
    let bodies = taken(&mut site);
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        assert_eq!(body["new"], json!({"Total": 2, "a,\"b": 3}));
    }
}

#[test]
fn excluded_columns_are_shown_nowhere() {
    let mut site = site(&both_levels("'exclude=secret'"));
    site.run(INSERT);
    site.run(
        "update t set secret = 'y', id = 2; update s set secret = 'y', id = 2;
         update t set secret = 'z'; update s set secret = 'z'",
    );
    let bodies = taken(&mut site);
    assert_eq!(bodies.len(), 4, "{bodies:?}");
    for body in &bodies {
        assert!(!body.to_string().contains("secret"), "{body}");
    }
    for body in &bodies[2..] {
        assert_eq!(body["changed"], json!(["id"]));
    }
}

#[test]
fn update_of_other_columns_sends_nothing() {
    let mut site = site(&both_levels("'columns=id'"));
    site.run(INSERT);
    taken(&mut site);
    site.run("update t set \"Total\" = 5; update s set \"Total\" = 5");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    site.run("update t set id = 5; update s set id = 5");
    assert_eq!(taken(&mut site).len(), 2);
}

#[test]
fn ordering_key_is_of_the_row_as_it_is_or_was() {
    let mut site = site(&both_levels("'columns=id', 'ordering_key=secret,id'"));
    site.run(INSERT);
    site.run("update t set id = 7; update s set id = 7; delete from t");
    let keys = site.column::<Option<String>>("select ordering_key from hooks.message order by id");
    let keys: Vec<&str> = keys.iter().map(|key| key.as_deref().unwrap()).collect();
    assert_eq!(keys, ["x,1", "x,1", "x,7", "x,7", "x,7"]);
}

#[test]
fn ordering_key_of_nulls_is_none_and_a_long_one_is_hashed() {
    let mut site = site(&both_levels("'ordering_key=secret'"));
    site.run(
        "insert into t values (1, 1, 1, null), (1, 1, 1, ''), (1, 1, 1, repeat('k', 1000)),
           (1, 1, 1, repeat('k', 1001)), (1, 1, 1, repeat('k', 1001)), (1, 1, 1, repeat('l', 1001))",
    );
    let keys = site.column::<Option<String>>("select ordering_key from hooks.message order by id");
    assert_eq!(keys[..2], [None, None]);
    assert_eq!(keys[2].as_ref().unwrap().len(), 1000);
    assert!(keys[3].as_ref().unwrap().starts_with("fnv1a:"));
    assert_eq!(keys[3], keys[4]);
    assert_ne!(keys[3], keys[5]);
}

#[test]
fn headers_go_with_each_message() {
    let mut site = site(&both_levels(r#"'headers={"x-table": "t"}'"#));
    site.run(INSERT);
    let headers = site.column::<String>("select headers ->> 'x-table' from hooks.message");
    assert_eq!(headers, ["t", "t"]);
}

/// Values that are stored outside of the row count as changed only when they are.
#[test]
fn large_values_are_compared_by_what_they_hold() {
    let mut site = site(
        "create table t (id int, large text);
         alter table t alter large set storage external;
         create trigger e after update on t for each row execute function hooks.emit('q', 'columns=large');
         insert into t values (1, repeat('x', 50000));",
    );
    site.run("update t set id = 2; update t set large = repeat('x', 50000)");
    assert_eq!(taken(&mut site), Vec::<Value>::new());
    site.run("update t set large = repeat('x', 49999) || 'y'");
    let bodies = taken(&mut site);
    assert_eq!(bodies[0]["changed"], json!(["large"]));
    assert!(bodies[0]["new"]["large"].as_str().unwrap().ends_with("xy"));
}
