-- Privileges: nothing for PUBLIC, and no one may put triggers on our tables or reference them.

-- What ALTER DEFAULT PRIVILEGES gave away at creation is taken back first.
do $$
declare
  grantee name;
begin
  for grantee in
    select distinct r.rolname
    from (
      select n.nspacl as acl, n.nspowner as owner from pg_catalog.pg_namespace as n
      where n.nspname operator(pg_catalog.=) 'hooks'
      union all
      select c.relacl, c.relowner from pg_catalog.pg_class as c
      where c.relnamespace operator(pg_catalog.=) 'hooks'::pg_catalog.regnamespace
      union all
      select p.proacl, p.proowner from pg_catalog.pg_proc as p
      where p.pronamespace operator(pg_catalog.=) 'hooks'::pg_catalog.regnamespace
    ) as o
    cross join lateral pg_catalog.aclexplode(o.acl) as a
    join pg_catalog.pg_roles as r on r.oid operator(pg_catalog.=) a.grantee
    where a.grantee operator(pg_catalog.<>) o.owner
  loop
    execute pg_catalog.format('revoke all on schema hooks from %I', grantee);
    execute pg_catalog.format('revoke all on all tables in schema hooks from %I', grantee);
    execute pg_catalog.format('revoke all on all sequences in schema hooks from %I', grantee);
    execute pg_catalog.format('revoke all on all functions in schema hooks from %I', grantee);
  end loop;
end
$$;

revoke all on schema hooks from public;
revoke all on all tables in schema hooks from public;
revoke all on all sequences in schema hooks from public;
revoke all on all functions in schema hooks from public;

-- What a role may do with a single queue is asked when it calls: functions that hooks_user may execute are
-- written in hooks_plpgsql or C, and call hooks.allowed_queue() or hooks.may() for each queue that they touch.
-- See sql/functions/access.sql. Nothing else may be granted to hooks_user and hooks_tenant, and no table.
grant usage on schema hooks to hooks_admin, hooks_sender, hooks_reader, hooks_user;
do $$
begin
  if not pg_catalog.pg_has_role('hooks_tenant', 'hooks_user', 'member') then
    grant hooks_user to hooks_tenant;
  end if;
exception
  -- Another database does the same at this moment.
  when unique_violation then null;
end
$$;

grant select, insert, update, delete
  on hooks.queue, hooks.message, hooks.attempt, hooks.message_log, hooks.dead_letter, hooks.cron
  to hooks_admin;
grant select, insert, update, delete on hooks.subscription to hooks_admin;
grant select, delete on hooks.event, hooks.idempotency_key to hooks_admin;
grant select on hooks.installation, hooks.queue_state, hooks.queue_grant, hooks.watch_owner to hooks_admin;

-- Functions are named one by one: whoever may execute a trigger function can make a trigger of it.
grant execute on function
  hooks.create_queue,
  hooks.alter_queue,
  hooks.drop_queue(text, boolean),
  hooks.pause(text),
  hooks.resume(text),
  hooks.cancel(bigint),
  hooks.redrive,
  hooks.purge,
  hooks.show_dead_letter(bigint),
  hooks.grant_send(text, regrole),
  hooks.revoke_send(text, regrole),
  hooks.grant_read(text, regrole),
  hooks.revoke_read(text, regrole),
  hooks.replay,
  hooks.preview,
  hooks.test_queue
  to hooks_admin, hooks_tenant;

grant execute on function
  hooks.give_queue(text, regrole),
  hooks.queue_id(text),
  hooks.subscribe,
  hooks.unsubscribe(bigint),
  hooks.alter_subscription,
  hooks.list_subscriptions
  to hooks_admin;

grant execute on function
  hooks.send(text, text, timestamptz, jsonb, text, timestamptz, text),
  hooks.send(text, json, timestamptz, jsonb, text, timestamptz, text),
  hooks.send(text, jsonb, timestamptz, jsonb, text, timestamptz, text),
  hooks.send(text, bytea, timestamptz, jsonb, text, timestamptz, text),
  hooks.send_batch(text, text[], timestamptz, jsonb, text, timestamptz, text[]),
  hooks.send_batch(text, json[], timestamptz, jsonb, text, timestamptz, text[]),
  hooks.send_batch(text, jsonb[], timestamptz, jsonb, text, timestamptz, text[]),
  hooks.send_batch(text, bytea[], timestamptz, jsonb, text, timestamptz, text[])
  to hooks_admin, hooks_sender, hooks_user;

grant execute on function
  hooks.emit(),
  hooks.watch,
  hooks.unwatch(regclass, text)
  to hooks_admin, hooks_sender;

-- Watching runs as its caller, who must be allowed to make triggers on the table; the parts that it is made
-- of need their own.
grant select on hooks.watches to hooks_admin, hooks_sender, hooks_reader;
grant execute on function hooks.list_watches() to hooks_admin, hooks_sender, hooks_reader;
grant execute on function
  hooks.create_watch,
  hooks.watch_level(regclass),
  hooks.can_watch_truncate(regclass),
  hooks.trigger_level(text, text),
  hooks.emit_arguments,
  hooks.name_list(text[]),
  hooks.check_watch,
  hooks.check_watch_made(regclass, text),
  hooks.own_watch(regclass, text),
  hooks.forget_watches(regclass),
  hooks.refuse(text, text)
  to hooks_admin, hooks_sender;

-- Publishing runs as its caller, so that transforms do; the parts that it is made of need their own.
grant execute on function
  hooks.publish,
  hooks.run_transforms(text, jsonb, jsonb),
  hooks.transforms_of(text, jsonb, jsonb),
  hooks.run_transform(text, oid, jsonb, jsonb),
  hooks.store_event
  to hooks_admin, hooks_sender;

-- Secrets: set by admins and owners of queues, read by nobody.
grant select on hooks.secrets to hooks_admin;
grant execute on function
  hooks.set_secret_file(text, text, text, interval),
  hooks.reencrypt_secrets()
  to hooks_admin;
grant execute on function
  hooks.set_secret(text, text, text, interval),
  hooks.rotate_secret(text, interval, text),
  hooks.remove_secret(text, text),
  hooks.generate_secret(text),
  hooks.make_secret(bytea)
  to hooks_admin, hooks_tenant;
grant execute on function hooks.public_keys(text) to hooks_admin, hooks_reader, hooks_user;

-- What queues authenticate with: set by these, seen without the secrets.
grant select on hooks.auth to hooks_admin;
-- Not the token endpoint, as the query of a URL may hold a secret.
grant select (queue_id, scheme, header, username, client_id, scope, audience, client_authentication, certificate,
  updated_at)
  on hooks.auth to hooks_reader;
grant execute on function
  hooks.use_bearer(text, text),
  hooks.use_basic(text, text, text),
  hooks.use_api_key(text, text, text),
  hooks.use_oauth2(text, text, text, text, text, text, text),
  hooks.use_certificate(text, text, text),
  hooks.remove_auth(text, text)
  to hooks_admin, hooks_tenant;

-- Schedules.
grant execute on function
  hooks.schedule(text, text, text, text, text, jsonb, text, text, text, integer, text, boolean, text),
  hooks.schedule(text, text, text, json, text, jsonb, text, text, text, integer, text, boolean, text),
  hooks.schedule(text, text, text, jsonb, text, jsonb, text, text, text, integer, text, boolean, text),
  hooks.schedule(text, text, text, bytea, text, jsonb, text, text, text, integer, text, boolean, text),
  hooks.unschedule(text, boolean),
  hooks.pause_schedule(text),
  hooks.resume_schedule(text)
  to hooks_admin, hooks_tenant;
grant execute on function hooks.cron_preview(text, text, timestamptz, integer) to hooks_admin, hooks_reader, hooks_tenant;
grant execute on function hooks.owner_problem(oid, text, bigint) to hooks_admin, hooks_reader;
grant select on hooks.cron_status to hooks_admin, hooks_reader;

grant select on hooks.queue_state to hooks_reader;
-- Not what the requests said.
grant select (message_id, attempt, queue_id, attempted_at, duration_ms, status, error_class, error, response,
  truncated, method, response_headers, address, reused, resolve_ms, connect_ms, tls_ms, first_byte_ms)
  on hooks.attempt to hooks_reader;
-- Not what the messages said.
grant select (id, queue_id, state, attempts, last_status, created_at, due_at, finished_at, event_id, kept)
  on hooks.message_log to hooks_reader;
-- Lists, and what else tells of single queues to those who may read them.
grant execute on function
  hooks.list_messages,
  hooks.list_attempts,
  hooks.list_dead_letters,
  hooks.list_queues,
  hooks.show_queue(text),
  hooks.show_windows(text)
  to hooks_admin, hooks_reader, hooks_user;
grant execute on function hooks.attempts_query to hooks_admin, hooks_reader;
grant execute on function hooks.queue_id(text), hooks.refuse(text, text) to hooks_reader;

grant select on hooks.worker, hooks.message_state to hooks_admin, hooks_reader;
grant execute on function hooks.moment() to hooks_admin, hooks_reader;
grant execute on function
  hooks.status(bigint),
  hooks.event_status(bigint),
  hooks.queue_messages,
  hooks.wait(bigint, interval)
  to hooks_admin, hooks_reader, hooks_user;
grant execute on function
  hooks.health(),
  hooks.preloaded(),
  hooks.workers(),
  hooks.queues_in_flight()
  to hooks_admin, hooks_reader;

-- Statistics. The functions of histograms touch nothing.
grant select
  on hooks.queue_stats, hooks.stats, hooks.queue_windows, hooks.windows, hooks.queue_total, hooks.tally, hooks.activity
  to hooks_admin, hooks_reader;
grant execute on function
  hooks.window_stats(bigint),
  hooks.backlog(bigint, integer),
  hooks.merge_histograms(bytea[]),
  hooks.histogram_quantiles(bytea, double precision[])
  to hooks_admin, hooks_reader;

grant execute on function hooks.is_healthy(), hooks.report() to hooks_admin, hooks_reader;

-- Copies. Whoever stores rows of queues needs what says where they belong, and their triggers ask for restores.
grant execute on function hooks.adopt(text), hooks.release(interval), hooks.home(), hooks.restoring(regclass) to hooks_admin;
grant execute on function hooks.place(), hooks.hold() to hooks_admin, hooks_reader;

-- The first days: nobody has a row of today on its way into the default partition while its own is made.
do $$
begin
  perform hooks.add_history_day(w.relation, w.day)
  from hooks.history_work(-1, -1) as w;
end
$$;

-- A restore brings queues, messages and dead letters back, and no history: its partitions come and go.
select pg_catalog.pg_extension_config_dump('hooks.queue', '');
select pg_catalog.pg_extension_config_dump('hooks.queue_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.queue_grant', '');
-- A dump has no temporary tables, and a restore would fail for the row of one.
select pg_catalog.pg_extension_config_dump('hooks.watch_owner',
  $$where relation in (select c.oid from pg_catalog.pg_class as c where c.relpersistence <> 't')$$);
select pg_catalog.pg_extension_config_dump('hooks.cron', '');
select pg_catalog.pg_extension_config_dump('hooks.cron_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.message', '');
select pg_catalog.pg_extension_config_dump('hooks.message_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.auth', '');
select pg_catalog.pg_extension_config_dump('hooks.event', '');
select pg_catalog.pg_extension_config_dump('hooks.event_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.subscription', '');
select pg_catalog.pg_extension_config_dump('hooks.subscription_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.idempotency_key', '');
select pg_catalog.pg_extension_config_dump('hooks.dead_letter', '');

do $$
begin
  if not hooks.preloaded() then
    raise warning using
      message = 'pg_hooks is not in shared_preload_libraries: messages are stored, but nothing is sent',
      hint = 'Add pg_hooks to shared_preload_libraries and restart the server.';
  end if;
end
$$;

select hooks.announce();
