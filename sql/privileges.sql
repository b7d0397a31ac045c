-- Privileges: nothing for PUBLIC, and no one may put triggers on our tables or reference them.

revoke all on all functions in schema hooks from public;

grant usage on schema hooks to hooks_admin, hooks_sender, hooks_reader;

grant select, insert, update, delete
  on hooks.queue, hooks.message, hooks.attempt, hooks.message_log, hooks.dead_letter
  to hooks_admin;
grant select on hooks.installation, hooks.worker to hooks_admin;
grant execute on all functions in schema hooks to hooks_admin;

grant execute on function
  hooks.send(text, text, timestamptz, jsonb),
  hooks.send(text, jsonb, timestamptz, jsonb),
  hooks.send(text, bytea, timestamptz, jsonb),
  hooks.send_batch(text, text[], timestamptz, jsonb),
  hooks.send_batch(text, jsonb[], timestamptz, jsonb),
  hooks.send_batch(text, bytea[], timestamptz, jsonb)
  to hooks_sender;

grant select on hooks.attempt, hooks.message_log, hooks.worker to hooks_reader;
grant execute on function
  hooks.status(bigint),
  hooks.health(),
  hooks.preloaded(),
  hooks.workers()
  to hooks_reader;

-- A restore brings queues and messages back.
select pg_catalog.pg_extension_config_dump('hooks.queue', '');
select pg_catalog.pg_extension_config_dump('hooks.queue_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.message', '');
select pg_catalog.pg_extension_config_dump('hooks.message_id_seq', '');
select pg_catalog.pg_extension_config_dump('hooks.dead_letter', '');
select pg_catalog.pg_extension_config_dump('hooks.message_log', '');
select pg_catalog.pg_extension_config_dump('hooks.attempt', '');

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
