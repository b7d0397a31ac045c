//! Every privilege on every object, compared with a file that is reviewed like code.

use std::path::PathBuf;

use pg_hooks_tests::checkout;
use pg_hooks_tests::site::Site;

/// One line for each object, with who has what on it besides its owner. Partitions are those of the day.
const PRIVILEGES: &str = "
    with object(kind, name, acl, owner) as (
      select 'schema', n.nspname::text, coalesce(n.nspacl, acldefault('n', n.nspowner)), n.nspowner
      from pg_namespace as n where n.nspname = 'hooks'
      union all
      select case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, c.oid::regclass::text,
             coalesce(c.relacl, acldefault((case c.relkind when 'S' then 's' else 'r' end)::\"char\", c.relowner)),
             c.relowner
      from pg_class as c
      where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not c.relispartition
      union all
      select 'column', format('%s.%s', c.oid::regclass, a.attname), a.attacl, c.relowner
      from pg_class as c
      join pg_attribute as a on a.attrelid = c.oid
      where c.relnamespace = 'hooks'::regnamespace and a.attacl is not null
      union all
      select 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
      from pg_proc as p where p.pronamespace = 'hooks'::regnamespace
      union all
      select 'type', t.oid::regtype::text, coalesce(t.typacl, acldefault('T', t.typowner)), t.typowner
      from pg_type as t
      where t.typnamespace = 'hooks'::regnamespace and t.typrelid = 0 and t.typelem = 0
      union all
      select case when l.lanpltrusted then 'trusted language' else 'untrusted language' end, l.lanname,
             case when l.lanpltrusted then coalesce(l.lanacl, acldefault('l', l.lanowner)) end, l.lanowner
      from pg_language as l where l.lanname like 'hooks%'
    )
    select format('%s %s: %s', o.kind, o.name, coalesce(g.grants, '-'))
    from object as o
    left join lateral (
      select string_agg(format('%s %s', r.name, r.privileges), ', ' order by r.name) as grants
      from (
        select case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end as name,
               string_agg(lower(a.privilege_type) || case when a.is_grantable then ' with grant option' else '' end,
                          '/' order by a.privilege_type) as privileges
        from aclexplode(o.acl) as a
        where a.grantee <> o.owner
        group by a.grantee
      ) as r
    ) as g on true
    union all
    select format('role %s: %s%s', r.rolname,
             case when r.rolcanlogin or r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication
                    or r.rolbypassrls then 'has attributes' else 'no attributes' end,
             (select coalesce(string_agg(', member of ' || m.roleid::regrole::text, '' order by m.roleid::regrole::text), '')
              from pg_auth_members as m where m.member = r.oid))
    from pg_roles as r
    where r.rolname in ('hooks_admin', 'hooks_sender', 'hooks_reader', 'hooks_tenant', 'hooks_user')";

fn golden() -> PathBuf {
    checkout::root().join("pgrx-tests/tests/privileges/acl.txt")
}

#[test]
fn privileges_are_those_that_were_reviewed() {
    let mut site = Site::new();
    let mut lines: Vec<String> = site.column(PRIVILEGES);
    lines.sort();
    let found = lines.join("\n") + "\n";
    if std::env::var_os("PG_HOOKS_WRITE_GOLDEN").is_some() {
        std::fs::write(golden(), &found).unwrap();
    }
    let reviewed = std::fs::read_to_string(golden()).unwrap_or_default();
    let missing: Vec<&str> = reviewed
        .lines()
        .filter(|line| !lines.iter().any(|l| l == line))
        .collect();
    let added: Vec<&String> = lines
        .iter()
        .filter(|line| !reviewed.lines().any(|l| l == *line))
        .collect();
    assert!(
        missing.is_empty() && added.is_empty(),
        "privileges changed.\nreviewed: {missing:#?}\nfound: {added:#?}\n\
         If each of them is meant, run this test with PG_HOOKS_WRITE_GOLDEN=1 and commit acl.txt."
    );
}

/// What members of `hooks_user` and `hooks_tenant` call asks what they may do with each queue, and so knows
/// who calls: it is written in `hooks_plpgsql` or C, or runs as its caller.
#[test]
fn nothing_that_users_of_single_queues_call_runs_as_its_owner_without_knowing_them() {
    let mut site = Site::new();
    let offenders: Vec<String> = site.column(
        "select p.oid::regprocedure::text
         from pg_proc as p
         cross join unnest(array['hooks_user', 'hooks_tenant']) as r(role)
         where p.pronamespace = 'hooks'::regnamespace
           and p.prosecdef
           and has_function_privilege(r.role, p.oid, 'execute')
         union all
         select c.oid::regclass::text
         from pg_class as c
         cross join unnest(array['hooks_user', 'hooks_tenant']) as r(role)
         where c.relnamespace = 'hooks'::regnamespace
           and c.relkind in ('r', 'p', 'v', 'm', 'f')
           and has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate')
         union all
         select c.oid::regclass::text
         from pg_class as c
         cross join aclexplode(c.relacl) as a
         where c.relnamespace = 'hooks'::regnamespace and c.relispartition and a.grantee <> c.relowner",
    );
    assert_eq!(offenders, Vec::<String>::new());
}
