//! What is in the schema, as the catalogs tell.

use crate::database::{Database, column};

/// Asserts that a query which looks for offenders finds none.
#[track_caller]
fn assert_none(query: &str) {
    let database = Database::new();
    let offenders: Vec<String> = column(&mut database.connect(), query);
    assert_eq!(offenders, Vec::<String>::new());
}

#[test]
fn every_table_view_and_column_has_a_comment() {
    assert_none(
        "select c.oid::regclass::text
         from pg_class as c
         where c.relnamespace = 'hooks'::regnamespace
           and c.relkind in ('r', 'p', 'v', 'm', 'f')
           and obj_description(c.oid, 'pg_class') is null
         union all
         select format('%s.%s', c.oid::regclass, a.attname)
         from pg_class as c
         join pg_attribute as a on a.attrelid = c.oid
         where c.relnamespace = 'hooks'::regnamespace
           and c.relkind in ('r', 'p', 'v', 'm', 'f')
           and a.attnum > 0
           and not a.attisdropped
           and col_description(c.oid, a.attnum) is null",
    );
}

#[test]
fn every_function_and_the_schema_have_a_comment() {
    assert_none(
        "select p.oid::regprocedure::text
         from pg_proc as p
         where p.pronamespace = 'hooks'::regnamespace
           and obj_description(p.oid, 'pg_proc') is null
         union all
         select n.nspname
         from pg_namespace as n
         where n.nspname = 'hooks'
           and obj_description(n.oid, 'pg_namespace') is null",
    );
}

#[test]
fn every_object_belongs_to_the_extension() {
    assert_none(
        "select format('%s %s', d.classid::regclass, d.objid)
         from pg_depend as d
         where d.refclassid = 'pg_namespace'::regclass
           and d.refobjid = 'hooks'::regnamespace
           and not exists (
             select from pg_depend as e
             where e.classid = d.classid and e.objid = d.objid
               and e.refclassid = 'pg_extension'::regclass and e.deptype = 'e')
           -- Indexes and sequences belong to their tables.
           and not exists (
             select from pg_depend as o
             where o.classid = d.classid and o.objid = d.objid
               and o.refclassid = 'pg_class'::regclass and o.deptype in ('a', 'i'))",
    );
}

#[test]
fn nothing_is_granted_to_public() {
    assert_none(
        "select format('%s on %s', a.privilege_type, p.oid::regprocedure)
         from pg_proc as p
         cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
         where p.pronamespace = 'hooks'::regnamespace and a.grantee = 0
         union all
         select format('%s on %s', a.privilege_type, c.oid::regclass)
         from pg_class as c
         cross join aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) as a
         where c.relnamespace = 'hooks'::regnamespace and a.grantee = 0
         union all
         select format('%s on %s.%s', a.privilege_type, c.oid::regclass, t.attname)
         from pg_class as c
         join pg_attribute as t on t.attrelid = c.oid
         cross join aclexplode(t.attacl) as a
         where c.relnamespace = 'hooks'::regnamespace and a.grantee = 0
         union all
         select format('%s on schema %s', a.privilege_type, n.nspname)
         from pg_namespace as n
         cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as a
         where n.nspname = 'hooks' and a.grantee = 0",
    );
}

/// Whoever may put a trigger on our tables runs code as those who write to them.
#[test]
fn only_the_owner_may_add_triggers_and_references() {
    assert_none(
        "select format('%s on %s to %s', a.privilege_type, c.oid::regclass, a.grantee::regrole)
         from pg_class as c
         cross join aclexplode(c.relacl) as a
         where c.relnamespace = 'hooks'::regnamespace
           and a.grantee <> c.relowner
           and (a.privilege_type in ('TRIGGER', 'REFERENCES', 'TRUNCATE') or a.is_grantable)",
    );
}

#[test]
fn every_security_definer_function_pins_its_search_path() {
    assert_none(
        "select p.oid::regprocedure::text
         from pg_proc as p
         where p.pronamespace = 'hooks'::regnamespace
           and p.prosecdef
           and p.proconfig is distinct from '{\"search_path=pg_catalog, pg_temp\"}'
           -- Those that print times do it in the style that is read everywhere.
           and p.proconfig is distinct from '{\"search_path=pg_catalog, pg_temp\",DateStyle=ISO}'
           -- Those that get a secret keep their statement out of the log.
           and p.proconfig is distinct from '{\"search_path=pg_catalog, pg_temp\",log_min_error_statement=panic}'",
    );
}

/// A function in another language resolves names each time it runs, in the path of its caller unless it
/// says otherwise. One that is inlined must not: it names every schema. So do those that run functions of
/// users as these expect to be run.
#[test]
fn every_function_with_a_body_pins_its_search_path_or_is_a_single_call() {
    assert_none(
        "select p.oid::regprocedure::text
         from pg_proc as p
         join pg_language as l on l.oid = p.prolang
         where p.pronamespace = 'hooks'::regnamespace
           and l.lanname in ('sql', 'plpgsql')
           and p.proconfig is null
           and p.proname not in ('publish', 'run_transforms')
           and p.prosrc !~ '^ select hooks\\.send(_batch)?\\(\\$1, \\$2::pg_catalog\\.text(\\[\\])?(, \\$[0-9])*\\) $'
           -- A condition is read in the path of the caller.
           and p.prosrc !~ '^ select hooks\\.create_watch\\((\\$[0-9]+, )+pg_catalog\\.current_setting\\(''search_path''\\)\\) $'",
    );
}

#[test]
fn roles_cannot_log_in_and_have_no_attributes() {
    let database = Database::new();
    let roles: Vec<String> = column(
        &mut database.connect(),
        "select rolname::text from pg_roles
         where rolname like 'hooks\\_%'
           and not (rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
         order by rolname",
    );
    assert_eq!(
        roles,
        [
            "hooks_admin",
            "hooks_reader",
            "hooks_sender",
            "hooks_tenant",
            "hooks_user"
        ]
    );
}

#[test]
fn what_must_survive_a_dump_is_configured_for_it() {
    let database = Database::new();
    let dumped: Vec<String> = column(
        &mut database.connect(),
        "select c::regclass::text from pg_extension, unnest(extconfig) as c
         where extname = 'pg_hooks' order by 1",
    );
    let expected = [
        "hooks.auth",
        "hooks.cron",
        "hooks.cron_id_seq",
        "hooks.dead_letter",
        "hooks.event",
        "hooks.event_id_seq",
        "hooks.idempotency_key",
        "hooks.message",
        "hooks.message_id_seq",
        "hooks.queue",
        "hooks.queue_grant",
        "hooks.queue_id_seq",
        "hooks.subscription",
        "hooks.subscription_id_seq",
        "hooks.watch_owner",
    ];
    assert_eq!(dumped, expected);
}
