//! Roles and sessions that the tests are written with.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, refusal};
use postgres::Client;

/// SQLSTATE for what one may not do.
pub const DENIED: &str = "42501";

/// A new role that can log in, of a name that no other test has. `options` are those of CREATE ROLE.
#[track_caller]
pub fn role(site: &mut Site, name: &str, options: &str) -> String {
    let role = format!("{name}_{}", site.database);
    site.run(&format!("create role {role} login {options}"));
    role
}

/// A session of such a role.
#[track_caller]
pub fn session(site: &Site, role: &str) -> Client {
    Cluster::shared().connect_as(role, &site.database)
}

/// A new role with its session.
#[track_caller]
pub fn member(site: &mut Site, name: &str, options: &str) -> (String, Client) {
    let role = role(site, name, options);
    let client = session(site, &role);
    (role, client)
}

#[track_caller]
pub fn assert_denied(client: &mut Client, statements: &[&str]) {
    for statement in statements {
        let refused = refusal(client, statement);
        assert_eq!(refused.code, DENIED, "{statement}: {}", refused.message);
    }
}
