-- What keeps credentials with the receiver that they were set for. Functions in C are in src/api; they are declared
-- here so that names, defaults, privileges and comments of the whole interface are read in one place.

create function hooks.same_origin(url bytea, other bytea)
returns boolean
language c
immutable strict
as 'MODULE_PATHNAME', 'same_origin_wrapper';
comment on function hooks.same_origin(bytea, bytea) is 'Whether two URLs have the same scheme, host and port, so that requests reach the same receiver. False for what is no URL.';

-- Who owns a queue may send it elsewhere, and would be sent the credential that somebody else set. Setting one changes
-- the row of the queue, so that it is seen here at any isolation level, or the change fails.
create function hooks.keep_credentials()
returns trigger
language hooks_plpgsql
as $$
begin
  perform hooks.check_trigger_table(tg_relid);
  if not pg_has_role(hooks.caller(), 'hooks_admin', 'usage')
     and exists (select from hooks.auth as a where a.queue_id = old.id)
     and not hooks.same_origin(convert_to(old.url, 'UTF8'), convert_to(new.url, 'UTF8')) then
    raise exception using errcode = 'insufficient_privilege',
      message = format('permission denied to send queue "%s" elsewhere, as it authenticates with its receiver', old.name),
      hint = 'Remove what it authenticates with by hooks.remove_auth() first, or ask a member of hooks_admin.';
  end if;
  return new;
end
$$;
comment on function hooks.keep_credentials() is 'Trigger: raises 42501 when somebody but hooks_admin would have a queue send its credential to another scheme, host or port.';

create trigger keep_credentials
  before update on hooks.queue
  for each row when (new.url is distinct from old.url) execute function hooks.keep_credentials();

create function hooks.check_gives_no_credential(queue_id bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  given text;
begin
  -- Whoever sets one waits.
  select q.name into given from hooks.queue as q where q.id = check_gives_no_credential.queue_id for no key update;
  if exists (select from hooks.auth as a where a.queue_id = check_gives_no_credential.queue_id) then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = format('queue "%s" authenticates with its receiver', given),
      hint = 'Remove that with hooks.remove_auth() first; it can be set again for the new owner.';
  end if;
end
$$;
comment on function hooks.check_gives_no_credential(bigint) is 'Raises 55000 when a queue authenticates with a credential that was not set for a new owner.';
