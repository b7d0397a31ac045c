-- Setting secrets. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.
--
-- Those that get a secret set log_min_error_statement, so that a call that is refused does not leave its statement
-- in the log.

create function hooks.seal_secret(
  queue_id bigint,
  purpose bytea,
  secret bytea,
  out content bytea,
  out form text,
  out public_key text
)
returns setof record
language c
volatile strict
as 'MODULE_PATHNAME', 'seal_secret_wrapper';
comment on function hooks.seal_secret(bigint, bytea, bytea) is 'What is stored of a secret. Raises 22023 with a hint when it is not one for this purpose.';

create function hooks.make_room_for_secret(queue_id bigint, purpose text, grace interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  ends_at timestamptz;
begin
  if grace is null or extract(epoch from grace) not between 0 and 2592000 then
    perform hooks.refuse('grace must be between 0 and 30 days',
      'Give an interval such as ''1 day'', or 0 to have the earlier secret end at once.');
  end if;
  -- One at a time: two that set a secret at once would both be the current one.
  perform from hooks.queue as q where q.id = queue_id for no key update;
  ends_at := clock_timestamp() + grace;
  update hooks.secret as s
  set expires_at = least(coalesce(s.expires_at, 'infinity'), ends_at)
  where s.queue_id = queue_id and s.purpose = purpose;
  delete from hooks.secret as s
  where s.queue_id = queue_id and s.purpose = purpose and s.expires_at <= clock_timestamp();
  if (select count(*) from hooks.secret as s where s.queue_id = queue_id and s.purpose = purpose) > 4 then
    perform hooks.refuse('4 earlier secrets of this purpose still count',
      'Wait until the grace of one has ended, or give a shorter grace, which ends theirs too.');
  end if;
end
$$;
comment on function hooks.make_room_for_secret(bigint, text, interval) is 'Has the secrets of this purpose end after the grace at the latest, and removes those that have.';

create function hooks.set_secret(queue text, secret text, purpose text default 'signing', grace interval default '0')
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set log_min_error_statement = 'panic'
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.queue_id(queue);
begin
  if secret is null or purpose is null then
    perform hooks.refuse('secret and purpose must not be null',
      'Use hooks.remove_secret() to have no secret.');
  end if;
  perform hooks.make_room_for_secret(changed, purpose, grace);
  insert into hooks.secret (queue_id, purpose, form, content, public_key)
  select changed, purpose, s.form, s.content, s.public_key
  from hooks.seal_secret(changed, convert_to(purpose, 'UTF8'), convert_to(secret, 'UTF8')) as s;
end
$$;
comment on function hooks.set_secret(text, text, text, interval) is 'Sets the secret of a queue for a purpose in place of the one before, which counts on for the grace. Nobody can read it again. Raises 22023 when it is malformed.';

create function hooks.remove_secret(queue text, purpose text default 'signing')
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.queue_id(queue);
begin
  delete from hooks.secret as s where s.queue_id = changed and s.purpose = purpose;
  return found;
end
$$;
comment on function hooks.remove_secret(text, text) is 'Removes the secrets of a queue for a purpose, those in their grace as well. Returns whether there were some.';

create function hooks.note_secret_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid is distinct from 'hooks.secret'::regclass::oid then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.secret',
      hint = 'Set secrets with hooks.set_secret().';
  end if;
  -- A new version of the row is found by a survey too, and tells the worker by the trigger of that table.
  update hooks.queue as q set updated_at = clock_timestamp()
  where q.id in (old.queue_id, new.queue_id);
  return null;
end
$$;
comment on function hooks.note_secret_changed() is 'Trigger: tells the worker that a queue has another secret.';

create trigger note_secret_changed
  after insert or update or delete on hooks.secret
  for each row execute function hooks.note_secret_changed();
