//! ALTER DEFAULT PRIVILEGES of a database gives nothing away of what the extension creates.

use crate::site::{DENIED, Site, refusal};

/// Everything in the schema, and the schema, that a role may use in some way.
const USABLE: &str = "
    select coalesce(string_agg(o.name, ', ' order by o.name), '') from (
      select c.relname::text as name from pg_class as c
      where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'v')
        and has_table_privilege('ROLE', c.oid, 'select, insert, update, delete, truncate, references, trigger')
      union all
      select c.relname from pg_class as c
      where c.relnamespace = 'hooks'::regnamespace
        and case when c.relkind = 'S' then has_sequence_privilege('ROLE', c.oid, 'usage, select, update') end
      union all
      select p.proname from pg_proc as p
      where p.pronamespace = 'hooks'::regnamespace and has_function_privilege('ROLE', p.oid, 'execute')
      union all
      select 'schema' where has_schema_privilege('ROLE', 'hooks', 'usage, create')
    ) as o";

#[test]
fn default_privileges_of_the_database_leave_a_role_nothing_in_our_schema() {
    let role = "readers_of_everything";
    let mut site = Site::prepared_by(&format!(
        "create role {role} login;
         alter default privileges grant all on tables to {role}, public;
         alter default privileges grant all on sequences to {role} with grant option;
         alter default privileges grant execute on functions to {role};
         alter default privileges grant all on schemas to {role}"
    ));
    assert_eq!(site.value::<String>(&USABLE.replace("ROLE", role)), "");
    let mut client = site.cluster.connect_as(role, &site.database);
    for statement in [
        "table hooks.dead_letter",
        "select hooks.send('q', 'x')",
        "select hooks.drop_queue('q', true)",
    ] {
        assert_eq!(refusal(&mut client, statement).code, DENIED, "{statement}");
    }
}

#[test]
fn default_privileges_give_our_own_roles_no_more_than_we_do() {
    let usable = |site: &mut Site| site.value::<String>(&USABLE.replace("ROLE", "hooks_reader"));
    let usual = usable(&mut Site::new());
    let granted = &mut Site::prepared_by(
        "alter default privileges grant all on tables to hooks_reader;
         alter default privileges grant execute on functions to hooks_reader",
    );
    assert_eq!(usable(granted), usual);
}
