//! What people plant where our code might come by, and what they try to take over.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, refusal, run, value};
use postgres::Client;

use crate::roles::{assert_denied, member};

/// Whatever a name that is looked for in a schema of users finds there notes that, and who ran it.
const PLANT: &str = "
    create schema evil;
    create table evil.sprung (who name default current_user, what text);
    grant usage, create on schema evil to public;
    grant insert on evil.sprung to public;
    do $plant$
    declare
      t text;
      o text;
      n integer := 0;
    begin
      foreach t in array array['text', 'name', 'oid', 'bigint', 'integer', 'boolean', 'timestamptz', 'jsonb', '\"char\"'] loop
        foreach o in array array['=', '<>', '<', '<=', '>', '>=', '~', '||', '->', '->>'] loop
          n := n + 1;
          execute format($f$create function evil.f%s(%s, %s) returns boolean language plpgsql as
            $b$ begin insert into evil.sprung (what) values ('%s %s'); return true; end $b$$f$, n, t, t, o, t);
          execute format('create operator evil.%s (function = evil.f%s, leftarg = %s, rightarg = %s)', o, n, t, t);
        end loop;
      end loop;
      foreach t in array array['now', 'format', 'coalesce_text', 'pg_has_role', 'clock_timestamp', 'jsonb_each', 'left',
                               'replace', 'array_agg', 'gen_random_uuid', 'nextval'] loop
        execute format($f$create function evil.%I(variadic text[]) returns text language plpgsql as
          $b$ begin insert into evil.sprung (what) values (%L); return null; end $b$$f$, t, t);
      end loop;
    end $plant$;
    create function evil.now() returns timestamptz language plpgsql as
      $$ begin insert into evil.sprung (what) values ('now()'); return '2000-01-01'; end $$;
    create domain evil.bigint as pg_catalog.int8;
    create table evil.pg_roles (oid oid, rolname name, rolinherit boolean);
    create table evil.pg_authid (oid oid, rolname name);
    create table evil.pg_class (oid oid, relname name);";

const PATH: &str = "set search_path = evil, public, pg_temp, pg_catalog";

fn sprung(client: &mut Client) -> String {
    value(
        client,
        "select coalesce(string_agg(s.who::text || ': ' || s.what, ', '), '') from evil.sprung as s",
    )
}

#[test]
fn nothing_that_was_planted_before_is_used_when_the_extension_is_created() {
    let cluster = Cluster::shared();
    cluster.create_database("planted");
    let mut client = cluster.connect("planted");
    run(&mut client, PLANT);
    run(&mut client, PATH);
    run(&mut client, "create extension pg_hooks schema evil");
    run(&mut client, "reset search_path");
    assert_eq!(sprung(&mut client), "");
    let elsewhere: i64 = value(
        &mut client,
        "select count(*) from pg_depend as d
         join pg_extension as e on e.oid = d.refobjid and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
         where e.extname = 'pg_hooks'
           and (d.classid, d.objid) in (select 'pg_class'::regclass, c.oid from pg_class as c where c.relnamespace <> 'hooks'::regnamespace
             union all select 'pg_proc'::regclass, p.oid from pg_proc as p where p.pronamespace <> 'hooks'::regnamespace)",
    );
    assert_eq!(elsewhere, 0, "all objects are in the schema hooks");
    drop(client);
    cluster.drop_database("planted").unwrap();
}

#[test]
fn nothing_that_was_planted_is_used_by_functions_that_run_as_their_owner() {
    let mut site = Site::new();
    site.run(PLANT);
    let (tenant, mut client) = member(&mut site, "tenant", "in role hooks_tenant");
    run(&mut client, PATH);
    run(
        &mut client,
        "create temp table queue_grant (queue_id bigint);
         create temp table pg_roles (oid oid, rolname name);
         create temp table pg_authid (oid oid, rolname name)",
    );
    run(
        &mut client,
        &format!(
            "select hooks.create_queue('q', 'https://example.com/', description => 'x');
             select hooks.alter_queue('q', max_attempts => 3);
             select hooks.grant_send('q', '{tenant}'); select hooks.grant_read('q', '{tenant}');
             select hooks.revoke_send('q', '{tenant}');
             select hooks.send('q', 'x', at => '2100-01-01', idempotency_key => 'k', headers => '{{\"X-A\": \"b\"}}');
             select hooks.schedule('s', 'q', '@daily', 'x'); select hooks.pause_schedule('s');
             select hooks.queue_messages('q'); select hooks.status(1); select hooks.event_status(1);
             select hooks.redrive(queue => 'q'); select hooks.purge(queue => 'q');
             select hooks.unschedule('s', true); select hooks.cancel(1);
             select hooks.drop_queue('q', true)"
        ),
    );
    assert_eq!(sprung(&mut site.client), "");
}

#[test]
fn implicit_casts_of_arguments_run_as_the_caller() {
    let mut site = Site::new();
    site.queue("q", "");
    let (tenant, mut client) = member(&mut site, "tenant", "in role hooks_tenant");
    site.run(&format!(
        "select hooks.grant_send('q', '{tenant}'); create schema authorization {tenant}"
    ));
    run(
        &mut client,
        "create type trap as enum ('q');
         create table sprung (who name default current_user);
         create function spring(trap) returns text language plpgsql as
           $$ begin insert into sprung default values; return 'q'; end $$;
         create cast (trap as text) with function spring(trap) as implicit;
         select hooks.send('q'::trap, 'x', at => '2100-01-01');
         select hooks.queue_messages('q'::trap) limit 0",
    );
    let who: String = value(&mut client, "select string_agg(distinct who, ',') from sprung");
    assert_eq!(who, tenant);
}

/// Maintenance runs such functions as the owner of the table, in a session of somebody else.
#[test]
fn function_of_an_index_has_no_more_rights_when_a_superuser_builds_it() {
    let mut site = Site::new();
    site.queue("q", "");
    let (tenant, mut client) = member(&mut site, "tenant", "in role hooks_tenant");
    site.run(&format!("create schema authorization {tenant}"));
    run(
        &mut client,
        &format!(
            "create function spring(x integer) returns integer immutable language plpgsql as $$
             begin
               perform hooks.pause('q');
               return x;
             exception when insufficient_privilege then return x;
             end $$;
             create table t (x integer);
             insert into t values (1);
             create index on t ({tenant}.spring(x))"
        ),
    );
    site.run(&format!("reindex table {tenant}.t; analyze {tenant}.t"));
    assert!(site.value::<bool>("select active from hooks.queue"));
}

#[test]
fn admin_can_plant_nothing_in_our_objects_and_take_none_over() {
    let mut site = Site::new();
    let (admin, mut client) = member(&mut site, "admin", "in role hooks_admin");
    site.run(&format!("create schema authorization {admin}"));
    run(
        &mut client,
        "create function evil() returns boolean language plpgsql as $$ begin raise 'evil'; end $$;
         create function evil_trigger() returns trigger language plpgsql as $$ begin raise 'evil'; end $$",
    );
    assert_denied(
        &mut client,
        &[
            "create trigger evil before insert on hooks.message for each row execute function evil_trigger()",
            "create rule evil as on insert to hooks.message do instead nothing",
            "create policy evil on hooks.message using (evil())",
            "alter table hooks.message enable row level security",
            "alter table hooks.message alter created_at set default now()",
            "alter table hooks.message add check (evil())",
            "alter table hooks.message add column evil integer default 1",
            "alter table hooks.message disable trigger all",
            "create index evil on hooks.message (id)",
            "create statistics evil on id, queue_id from hooks.message",
            "create table evil (id bigint references hooks.queue)",
            "alter table hooks.message inherit hooks.queue",
            "truncate hooks.message",
            "create or replace function hooks.send(queue text, body text, at timestamptz default null,
               headers jsonb default null, ordering_key text default null, expires_at timestamptz default null,
               idempotency_key text default null) returns bigint language sql as 'select 1::bigint'",
            "create function hooks.send(queue text, body integer) returns bigint language sql as 'select 1::bigint'",
            "create or replace view hooks.worker as select 1 as pid",
            "alter function hooks.health() owner to current_user",
            "alter function hooks.caller() security definer",
            "alter schema hooks owner to current_user",
            "alter extension pg_hooks add table t",
            "alter extension pg_hooks set schema public",
            "create operator hooks.= (function = int8eq, leftarg = bigint, rightarg = bigint)",
            "create type hooks.evil as (x integer)",
            "create or replace language hooks_plpgsql handler plpgsql_call_handler",
            "alter language hooks_plpgsql owner to current_user",
            "do language hooks_plpgsql 'begin end'",
        ],
    );
    let before = refusal(&mut client, "create schema hooks").code;
    assert!(["42P06", "42501"].contains(&before.as_str()), "{before}");
}
