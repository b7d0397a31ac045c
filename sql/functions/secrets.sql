-- Setting secrets. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.
--
-- Those that get a secret set log_min_error_statement and hide the context of their callers, so that a call that is
-- refused does not leave its statement in the log.

create function hooks.hide_context()
returns boolean
language c
volatile
as 'MODULE_PATHNAME', 'hide_context_wrapper';
comment on function hooks.hide_context() is 'Has errors from here to the end of the calling function come without the context of its callers, which would show statements and parameters.';

create function hooks.secret_bytes(secret text)
returns bytea
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return convert_to(secret_bytes.secret, 'UTF8');
exception
  -- Their messages show bytes of it.
  when character_not_in_repertoire or untranslatable_character then
    perform hooks.refuse('secret cannot be converted to UTF-8',
      'Set client_encoding to the encoding of what you send.');
end
$$;
comment on function hooks.secret_bytes(text) is 'A secret in UTF-8. Raises 22023, without a byte of it, when it has none.';

create function hooks.seal_secret(
  queue_id bigint,
  purpose bytea,
  secret bytea,
  out content bytea,
  out key_id text,
  out form text,
  out public_key text
)
returns setof record
language c
volatile strict
as 'MODULE_PATHNAME', 'seal_secret_wrapper';
comment on function hooks.seal_secret(bigint, bytea, bytea) is 'What is stored of a secret, encrypted if there is a key. Raises 22023 with a hint when it is not one for this purpose.';

create function hooks.reseal_secret(
  queue_id bigint,
  purpose bytea,
  content bytea,
  key_id bytea,
  out new_content bytea,
  out new_key_id text
)
returns setof record
language c
volatile
as 'MODULE_PATHNAME', 'reseal_secret_wrapper';
comment on function hooks.reseal_secret(bigint, bytea, bytea, bytea) is 'What is stored of the same secret, encrypted with the key that encrypts now.';

create function hooks.secret_key()
returns text
language c
volatile
as 'MODULE_PATHNAME', 'secret_key_wrapper';
comment on function hooks.secret_key() is 'Name of the key that encrypts secrets: the first one of hooks.secret_key_file. Null when that is not set.';

create function hooks.check_secret_file(purpose bytea, file bytea, out form text, out public_key text)
returns setof record
language c
volatile strict
as 'MODULE_PATHNAME', 'check_secret_file_wrapper';
comment on function hooks.check_secret_file(bytea, bytea) is 'Form of the secret that this file holds. Raises 22023 with a hint when there is none.';

create function hooks.make_secret(signature bytea)
returns text
language c
volatile strict
as 'MODULE_PATHNAME', 'make_secret_wrapper';
comment on function hooks.make_secret(bytea) is 'A new secret for this signature.';

create function hooks.generate_secret(signature text default 'v1')
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return hooks.make_secret(convert_to(generate_secret.signature, 'UTF8'));
end
$$;
comment on function hooks.generate_secret(text) is 'A new secret of 32 random bytes for hooks.set_secret(): whsec_... or, for v1a, whsk_... It is shown once and stored nowhere.';

create function hooks.make_secret_for(purpose bytea)
returns text
language c
volatile strict
as 'MODULE_PATHNAME', 'make_secret_for_wrapper';
comment on function hooks.make_secret_for(bytea) is 'A new secret for this purpose. Raises 22023 when one cannot be made up.';

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

create function hooks.check_fits_signatures(queue_id bigint, signatures text[], purpose text, form text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if 'v1' = any (signatures) and purpose = 'signing' and form <> 'whsec' then
    perform hooks.refuse('signature v1 needs a secret that begins with whsec_',
      'Let hooks.generate_secret() make one, or leave v1 out of the signatures of the queue.');
  end if;
end
$$;
comment on function hooks.check_fits_signatures(bigint, text[], text, text) is 'Raises 22023 when a secret of this form cannot make the signatures of the queue.';

create function hooks.store_secret(queue_id bigint, secret text, purpose text, grace interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  sealed record;
begin
  if secret is null or purpose is null then
    perform hooks.refuse('secret and purpose must not be null',
      'Use hooks.remove_secret() to have no secret.');
  end if;
  select * into strict sealed
  from hooks.seal_secret(queue_id, convert_to(purpose, 'UTF8'), hooks.secret_bytes(secret));
  perform hooks.make_room_for_secret(queue_id, purpose, grace);
  perform hooks.check_fits_signatures(queue_id, q.signatures, purpose, sealed.form)
  from hooks.queue as q where q.id = queue_id;
  insert into hooks.secret (queue_id, purpose, form, content, key_id, public_key)
  values (queue_id, purpose, sealed.form, sealed.content, sealed.key_id, sealed.public_key);
end
$$;
comment on function hooks.store_secret(bigint, text, text, interval) is 'Stores a secret in place of the one before.';

create function hooks.put_secret(queue text, secret text, purpose text, grace interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set log_min_error_statement = 'panic'
as $$
declare
  hidden constant boolean := hooks.hide_context();
begin
  perform hooks.store_secret(hooks.allowed_queue(put_secret.queue, 'manage'), put_secret.secret, put_secret.purpose,
    put_secret.grace);
end
$$;
comment on function hooks.put_secret(text, text, text, interval) is 'What hooks.set_secret() comes down to: a function may set log_min_error_statement when a superuser calls it.';

create function hooks.set_secret(queue text, secret text, purpose text default 'signing', grace interval default '0')
returns void
language hooks_plpgsql
volatile
as $$ begin perform hooks.put_secret($1, $2, $3, $4); end $$;
comment on function hooks.set_secret(text, text, text, interval) is 'Sets the secret of a queue for a purpose in place of the one before, which counts on for the grace. Nobody can read it again. Raises 22023 when it is malformed.';

create function hooks.rotate_secret(queue text, grace interval default '1 day', purpose text default 'signing')
returns text
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.allowed_queue(queue, 'manage');
  made text;
begin
  if purpose is null then
    perform hooks.refuse('purpose must not be null', 'Use signing or signing_ed25519.');
  end if;
  made := hooks.make_secret_for(convert_to(purpose, 'UTF8'));
  perform hooks.store_secret(changed, made, purpose, grace);
  if purpose = 'signing_ed25519' then
    return (select s.public_key from hooks.secret as s
            where s.queue_id = changed and s.purpose = purpose and s.expires_at is null);
  end if;
  return made;
end
$$;
comment on function hooks.rotate_secret(text, interval, text) is 'Makes up a new secret and sets it; the one before counts on for the grace. Returns what the receiver verifies with, which is shown only now: the secret, or the public key for signing_ed25519.';

create function hooks.public_keys(queue text)
returns setof text
language hooks_plpgsql
stable
as $$
begin
  return query
  select s.public_key from hooks.secret as s
  where s.queue_id = hooks.allowed_queue(public_keys.queue, 'read') and s.public_key is not null
    and (s.expires_at is null or s.expires_at > clock_timestamp())
  order by s.id desc;
end
$$;
comment on function hooks.public_keys(text) is 'The public keys that receivers verify the signature v1a with: one, or more while earlier ones count on, the newest first.';

create function hooks.remove_secret(queue text, purpose text default 'signing')
returns boolean
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.allowed_queue(queue, 'manage');
begin
  -- Before its secrets, as those do who set one.
  perform from hooks.queue as q where q.id = changed for no key update;
  delete from hooks.secret as s where s.queue_id = changed and s.purpose = purpose;
  return found;
end
$$;
comment on function hooks.remove_secret(text, text) is 'Removes the secrets of a queue for a purpose, those in their grace as well. Returns whether there were some.';

create function hooks.store_secret_file(queue text, file text, purpose text, grace interval)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.queue_id(queue);
  found_in_file record;
begin
  if file is null or purpose is null then
    perform hooks.refuse('file and purpose must not be null',
      'Use hooks.remove_secret() to have no secret.');
  end if;
  select * into strict found_in_file
  from hooks.check_secret_file(convert_to(purpose, 'UTF8'), convert_to(file, 'UTF8'));
  perform hooks.make_room_for_secret(changed, purpose, grace);
  perform hooks.check_fits_signatures(changed, q.signatures, purpose, found_in_file.form)
  from hooks.queue as q where q.id = changed;
  insert into hooks.secret (queue_id, purpose, form, file, public_key)
  values (changed, purpose, found_in_file.form, file, found_in_file.public_key);
end
$$;
comment on function hooks.store_secret_file(text, text, text, interval) is 'Stores that a secret is in a file.';

create function hooks.set_secret_file(queue text, file text, purpose text default 'signing', grace interval default '0')
returns void
language c
volatile
as 'MODULE_PATHNAME', 'set_secret_file_wrapper';
comment on function hooks.set_secret_file(text, text, text, interval) is 'Has the worker read the secret from a file below hooks.secret_directory, so that the database never holds it. Only for roles with the privileges of pg_read_server_files. The file is read at once, when the queue changes, and at a reload.';

create function hooks.reencrypt_secrets()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  key constant text := hooks.secret_key();
  stored record;
  done bigint := 0;
begin
  if key is null then
    raise exception using errcode = 'object_not_in_prerequisite_state',
      message = 'hooks.secret_key_file is not set',
      hint = 'Name a key file in the server''s configuration.';
  end if;
  -- Before their secrets, as those do who set one.
  perform from hooks.queue as q
  where q.id in (select s.queue_id from hooks.secret as s where s.content is not null and s.key_id is distinct from key)
  order by q.id
  for no key update;
  for stored in
    select s.id, s.queue_id, s.purpose, s.content, s.key_id from hooks.secret as s
    where s.content is not null and s.key_id is distinct from key
    order by s.id
    for no key update of s
  loop
    begin
      update hooks.secret as s
      set content = r.new_content, key_id = r.new_key_id
      from hooks.reseal_secret(stored.queue_id, convert_to(stored.purpose, 'UTF8'), stored.content,
                               convert_to(stored.key_id, 'UTF8')) as r
      where s.id = stored.id;
      done := done + 1;
    exception
      when object_not_in_prerequisite_state then
        raise warning using
          message = format('could not encrypt the secret of queue %s for %s: %s',
                           stored.queue_id, stored.purpose, sqlerrm);
    end;
  end loop;
  return done;
end
$$;
comment on function hooks.reencrypt_secrets() is 'Encrypts with the first key of hooks.secret_key_file whatever is not. Returns how many secrets that were; warns of those that cannot be decrypted.';

create function hooks.check_signatures()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  unknown text;
begin
  perform hooks.check_trigger_table(tg_relid);
  if new.signatures is null or array_position(new.signatures, null) is not null then
    perform hooks.refuse('signatures must not be null', 'Give {} to have requests not signed.');
  end if;
  select s.name into unknown from unnest(new.signatures) as s(name)
  where s.name <> all (array['v1', 'v1a', 'github', 'postmand', 'stripe']) limit 1;
  if unknown is not null then
    perform hooks.refuse(format('signature "%s" is not known', unknown),
      'Use v1, v1a, github, postmand and stripe, or {} for none.');
  end if;
  if cardinality(new.signatures) > (select count(distinct s.name) from unnest(new.signatures) as s(name)) then
    perform hooks.refuse('signatures must differ', 'Name each one once.');
  end if;
  perform hooks.check_fits_signatures(new.id, new.signatures, s.purpose, s.form)
  from hooks.secret as s where s.queue_id = new.id and s.expires_at is null;
  if 'v1' = any (new.signatures)
     and exists (select from hooks.secret as s
                 where s.queue_id = new.id and s.purpose = 'signing' and s.form <> 'whsec'
                   and s.expires_at > clock_timestamp()) then
    perform hooks.refuse('an earlier secret still counts, and signature v1 needs one that begins with whsec_',
      'Wait until its grace is over, as hooks.secrets shows, or end it with hooks.rotate_secret() and grace 0.');
  end if;
  return new;
end
$$;
comment on function hooks.check_signatures() is 'Trigger: validates which signatures a queue has.';

create trigger check_signatures
  before insert or update of signatures on hooks.queue
  for each row when (not hooks.restoring('hooks.queue')) execute function hooks.check_signatures();

create function hooks.note_credentials_changed()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_relid is null or tg_relid not in ('hooks.secret'::regclass::oid, 'hooks.auth'::regclass::oid) then
    raise exception using errcode = 'feature_not_supported',
      message = 'this function can only be a trigger of hooks.secret and hooks.auth',
      hint = 'Use hooks.set_secret(), or hooks.use_bearer() and its kin.';
  end if;
  -- A new version of the row is found by a survey too, and tells the worker by the trigger of that table.
  update hooks.queue as q set updated_at = clock_timestamp()
  where q.id in (old.queue_id, new.queue_id);
  return null;
end
$$;
comment on function hooks.note_credentials_changed() is 'Trigger: tells the worker that a queue has another secret, or authenticates otherwise.';

create trigger note_credentials_changed
  after insert or update or delete on hooks.secret
  for each row execute function hooks.note_credentials_changed();
