//! Differences that the comparison of two installations must see.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::run;

use crate::catalog::catalog;

#[test]
fn catalog_shows_rights_of_columns_schema_and_language_and_triggers_that_are_off() {
    let cluster = Cluster::shared();
    let mut client = cluster.connect(&cluster.create_hooks_database());
    let before = catalog(&mut client);
    for alteration in [
        "grant select (id) on hooks.secret to public",
        "grant create on schema hooks to public",
        "update pg_language set lanacl = '{=U/postgres}' where lanname = 'hooks_plpgsql'",
        "alter table hooks.message disable trigger check_message",
    ] {
        run(&mut client, "begin");
        run(&mut client, alteration);
        assert_ne!(catalog(&mut client), before, "{alteration}");
        run(&mut client, "rollback");
    }
    assert_eq!(catalog(&mut client), before);
}
