//! Watches of temporary tables.

use serde_json::json;

use crate::messages::{inserted, site, taken};

/// The path of who calls may find another table by that name.
#[test]
fn watch_of_a_temporary_table_is_not_one_of_a_table_of_the_same_name() {
    let mut site = site("create table t (id int); create temporary table t (id int)");
    site.run(
        "set search_path = public, pg_temp;
         select hooks.watch('pg_temp.t', 'q', '{insert}');
         insert into public.t values (1);
         insert into pg_temp.t values (2)",
    );
    let bodies = taken(&mut site);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies[0]["new"], json!({"id": 2}));
    assert_eq!(site.value::<i32>("select hooks.unwatch('pg_temp.t')"), 1);
    site.run("select hooks.watch('public.t', 'q', '{insert}'); insert into public.t values (3)");
    assert_eq!(taken(&mut site), [inserted(json!({"id": 3}))]);
}
