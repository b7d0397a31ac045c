//! COPY by those who would have it taken for the restore of a dump, whose rows are not checked.

use std::io::Write;

use pg_hooks_tests::site::{Site, run};
use postgres::Client;

use crate::roles::member;

/// What copying this one row comes to: rows stored, or the SQLSTATE.
fn copy(client: &mut Client, statement: &str, row: &str) -> Result<u64, String> {
    let code = |error: postgres::Error| match error.as_db_error() {
        Some(error) => error.code().code().to_owned(),
        None => panic!("{error:?}"),
    };
    let mut writer = client.copy_in(statement).map_err(code)?;
    writer.write_all(row.as_bytes()).unwrap();
    writer.finish().map_err(code)
}

/// A table of one column, of which each row is given to a statement.
fn table_that_runs(client: &mut Client, name: &str, statement: &str) {
    run(
        client,
        &format!(
            "create temp table {name} (x text);
             create function pg_temp.{name}() returns trigger language plpgsql as
               $$ begin {statement}; return new; end $$;
             create trigger run before insert on {name} for each row execute function pg_temp.{name}()"
        ),
    );
}

#[test]
fn tenant_stores_nothing_unchecked_by_copying_into_a_table_of_its_own() {
    let mut site = Site::new();
    let (role, mut tenant) = member(&mut site, "tenant", "in role hooks_tenant");
    let url = site.receiver.url("/q");
    run(
        &mut tenant,
        &format!("select hooks.create_queue('mine', '{url}')"),
    );
    run(&mut tenant, "set check_function_bodies = off");
    let create = format!("hooks.create_queue('bad', '{url}'");
    for (table, statement, code) in [
        (
            "a",
            format!("perform {create}, timeout => '10000000 years')"),
            "22023",
        ),
        (
            "b",
            format!("perform {create}, signatures => '{{none}}')"),
            "22023",
        ),
        (
            "c",
            "perform hooks.schedule('s', 'mine', '* * * * *', repeat('x', 10), 'Nowhere/At_all')".to_owned(),
            "22023",
        ),
        (
            "d",
            "perform hooks.send('mine', 'x', headers => '{\"a b\": \"c\"}')".to_owned(),
            "22023",
        ),
        (
            "e",
            "perform hooks.send('mine', 'x', ordering_key => '')".to_owned(),
            "22023",
        ),
    ] {
        table_that_runs(&mut tenant, table, &statement);
        let outcome = copy(&mut tenant, &format!("copy {table} from stdin"), "x\n");
        assert_eq!(outcome, Err(code.to_owned()), "{statement}");
    }
    // What is allowed is stored as ever: with an owner.
    table_that_runs(
        &mut tenant,
        "g",
        &format!("perform {create}); perform hooks.schedule('s', 'mine', '@daily', 'x')"),
    );
    assert_eq!(copy(&mut tenant, "copy g from stdin", "x\n"), Ok(1));
    let owned: bool = site.value(&format!(
        "select exists (select from hooks.queue_grant as g join hooks.queue as q on q.id = g.queue_id
                        where q.name = 'bad' and g.privilege = 'own' and g.grantee = '{role}'::regrole)
                and (select owner_name = '{role}' from hooks.cron)"
    ));
    assert!(owned);
}

/// COPY runs functions of users in its WHERE, also while it goes into a table of ours.
#[test]
fn admin_stores_nothing_unchecked_by_what_a_copy_into_our_tables_calls() {
    let mut site = Site::new();
    let queue = site.queue("q", ", active => false");
    let (_, mut admin) = member(&mut site, "admin", "in role hooks_admin");
    run(&mut admin, "set check_function_bodies = off");
    for (name, statement) in [
        ("sends", "hooks.send('q', 'x', ordering_key => '')"),
        (
            "makes",
            "hooks.create_queue('bad', 'https://example.com/', timeout => '10000000 years')",
        ),
    ] {
        run(
            &mut admin,
            &format!(
                "create function pg_temp.{name}() returns boolean language plpgsql volatile as
                   $$ begin perform {statement}; return true; end $$"
            ),
        );
        let statement = format!("copy hooks.message (queue_id, body) from stdin where pg_temp.{name}()");
        let outcome = copy(&mut admin, &statement, &format!("{queue}\ty\n"));
        assert_eq!(outcome, Err("22023".to_owned()), "{statement}");
    }
    let own = "copy hooks.message (queue_id, body, ordering_key) from stdin";
    assert_eq!(
        copy(&mut admin, own, &format!("{queue}\ty\t\n")),
        Err("22023".to_owned())
    );
}
