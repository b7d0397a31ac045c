//! What an installation is made of, as lines that can be compared.

use postgres::Client;

/// Order of columns counts for hooks.message alone, which is read by number. Days of the history come and go.
const CATALOG: &str = r#"
with relation as (
  select c.* from pg_class as c
  where c.relnamespace = 'hooks'::regnamespace and not c.relispartition
), member as (
  select pg_describe_object(d.classid, d.objid, d.objsubid) as line
  from pg_depend as d
  join pg_extension as e on e.oid = d.refobjid
  where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and e.extname = 'pg_hooks'
)
select format('relation %s %s %s %s', c.relname, c.relkind, c.relrowsecurity, c.reloptions) from relation as c
union all
select format('column %s.%s %s %s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
              a.attidentity, pg_get_expr(d.adbin, d.adrelid),
              case when c.relname = 'message' and c.relkind = 'r' then a.attnum end,
              (select string_agg(x::text, ' ' order by x::text) from unnest(a.attacl) as x))
from relation as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relkind in ('r', 'p', 'v')
union all
select format('constraint %s %s %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid))
from pg_constraint as n join relation as c on c.oid = n.conrelid
union all
select pg_get_indexdef(i.indexrelid) from pg_index as i join relation as c on c.oid = i.indrelid
union all
select concat(pg_get_triggerdef(t.oid), ' ', t.tgenabled) from pg_trigger as t join relation as c on c.oid = t.tgrelid where not t.tgisinternal
union all
select format('view %s %s', c.relname, pg_get_viewdef(c.oid)) from relation as c where c.relkind = 'v'
union all
select pg_get_functiondef(p.oid) from pg_proc as p where p.pronamespace = 'hooks'::regnamespace
union all
select format('right %s %s %s', a.kind, a.name, (select string_agg(x::text, ' ' order by x::text) from unnest(a.acl) as x))
from (select 'relation' as kind, c.relname::text as name, coalesce(c.relacl,
               acldefault(case c.relkind when 'S' then 's'::"char" else 'r' end, c.relowner)) as acl
      from relation as c
      union all
      select 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
      from pg_proc as p where p.pronamespace = 'hooks'::regnamespace
      union all
      select 'schema', n.nspname::text, coalesce(n.nspacl, acldefault('n', n.nspowner))
      from pg_namespace as n where n.oid = 'hooks'::regnamespace
      union all
      select 'language', l.lanname::text, coalesce(l.lanacl, acldefault('l', l.lanowner))
      from pg_language as l where l.lanname like 'hooks%'
     ) as a
union all
select format('comment %s %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
from pg_description as d
where pg_describe_object(d.classoid, d.objoid, d.objsubid) ~ 'hooks\.'
  and not exists (select from pg_class as c where c.oid = d.objoid and d.classoid = 'pg_class'::regclass and c.relispartition)
union all
select format('dumped %s %s', t.oid::regclass, t.condition)
from pg_extension as e, unnest(e.extconfig, e.extcondition) as t(oid, condition)
where e.extname = 'pg_hooks'
union all
select format('member %s', m.line) from member as m where m.line !~ '_[0-9]{8}'
order by 1"#;

/// Everything that the extension consists of in this database.
pub fn catalog(client: &mut Client) -> Vec<String> {
    client.batch_execute("set search_path = pg_catalog").unwrap();
    let rows = client.query(CATALOG, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Asserts that two catalogs are the same, and shows where they differ.
#[track_caller]
pub fn assert_same(updated: &[String], fresh: &[String]) {
    let only_in = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    let (left_over, missing) = (only_in(updated, fresh), only_in(fresh, updated));
    assert!(
        left_over.is_empty() && missing.is_empty(),
        "only after the update:\n{}\n\nonly in a new installation:\n{}",
        left_over.join("\n"),
        missing.join("\n")
    );
    assert!(fresh.len() > 500, "only {} lines", fresh.len());
}
