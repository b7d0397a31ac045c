//! Roles that were there before the extension.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::run;

#[test]
fn roles_that_were_there_and_are_more_than_groups_are_warned_of_by_name() {
    let cluster = Cluster::builder().start();
    run(
        &mut cluster.connect("postgres"),
        "create role hooks_admin login createrole; create role hooks_sender superuser;
         create role hooks_tenant; create role squatter; grant hooks_tenant to squatter;
         create role hooks_reader; create role hooks_user; grant hooks_user to squatter",
    );
    cluster.create_hooks_database();
    let log = cluster.log();
    for told in [
        "role \"hooks_admin\" was there before, and may create roles, can log in",
        "role \"hooks_sender\" was there before, and is a superuser",
        "role \"hooks_tenant\" was there before, and has members",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert_eq!(log.matches("was there before").count(), 3, "{log}");
}
