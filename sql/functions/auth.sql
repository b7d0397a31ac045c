-- Setting what queues authenticate with. Functions in C are in src/api; they are declared here so that names,
-- defaults, privileges and comments of the whole interface are read in one place.
--
-- What gets a secret hands it on to hooks.store_auth(), which sets log_min_error_statement and hides the context of its
-- callers, so that a call that is refused does not leave its statement in the log.

create function hooks.check_auth(settings bytea, secret bytea)
returns void
language c
immutable strict
as 'MODULE_PATHNAME', 'check_auth_wrapper';
comment on function hooks.check_auth(bytea, bytea) is 'Raises 22023 with a hint unless a request can carry what a row of hooks.auth, as JSON, and its secret say.';

create function hooks.auth_purpose(scheme text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case scheme
    when 'oauth2' then 'oauth2_client_secret'
    when 'certificate' then 'mtls_key'
    else scheme
  end
$$;
comment on function hooks.auth_purpose(text) is 'Purpose in hooks.secret of the secret of a scheme.';

create function hooks.remove_auth(queue text, scheme text default null)
returns boolean
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  changed constant bigint := hooks.allowed_queue(queue, 'manage');
  removed boolean;
begin
  if scheme not in ('bearer', 'basic', 'api_key', 'oauth2', 'certificate') then
    perform hooks.refuse(format('authentication scheme "%s" is not known', scheme),
      'Give bearer, basic, api_key, oauth2 or certificate, or none of them to remove all.');
  end if;
  perform from hooks.queue as q where q.id = changed for no key update;
  with gone as (
    delete from hooks.auth as a
    where a.queue_id = changed and (scheme is null or a.scheme = scheme)
    returning a.scheme
  ), gone_secrets as (
    delete from hooks.secret as s
    where s.queue_id = changed and s.purpose in (select hooks.auth_purpose(g.scheme) from gone as g)
  )
  select count(*) > 0 into removed from gone;
  return removed;
end
$$;
comment on function hooks.remove_auth(text, text) is 'Removes what a queue authenticates with, secrets included: one scheme, or all. Returns whether there was some.';

create function hooks.store_auth(queue text, scheme text, settings jsonb, secret text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set log_min_error_statement = 'panic'
as $$
#variable_conflict use_variable
declare
  hidden constant boolean := hooks.hide_context();
  changed constant bigint := hooks.allowed_queue(queue, 'manage');
  auth constant hooks.auth := jsonb_populate_record(null::hooks.auth,
    settings || jsonb_build_object('queue_id', changed, 'scheme', scheme, 'updated_at', clock_timestamp()));
begin
  if secret is null then
    perform hooks.refuse('secret must not be null',
      'Use hooks.remove_auth() to authenticate no more.');
  end if;
  if scheme = 'oauth2' then
    perform hooks.check_url(convert_to(auth.token_url, 'UTF8'));
  end if;
  if scheme = 'certificate'
     and not exists (select from hooks.queue as q where q.id = changed and q.url ilike 'https:%') then
    perform hooks.refuse('client certificate cannot be shown over plain http',
      'Give the queue an https URL with hooks.alter_queue() first.');
  end if;
  perform hooks.check_auth(convert_to((to_jsonb(auth) - 'updated_at')::text, 'UTF8'), hooks.secret_bytes(secret));
  -- One at a time, like secrets.
  perform from hooks.queue as q where q.id = changed for no key update;
  -- Of the schemes that fill a header the new one takes the place of the other; a certificate stands beside.
  perform hooks.remove_auth(queue, a.scheme)
  from hooks.auth as a
  where a.queue_id = changed
    and (a.scheme = scheme or scheme <> 'certificate' and a.scheme <> 'certificate');
  perform hooks.put_secret(queue, secret, hooks.auth_purpose(scheme), '0');
  insert into hooks.auth
  select auth.*;
end
$$;
comment on function hooks.store_auth(text, text, jsonb, text) is 'Checks and stores what a queue authenticates with, in place of what there was. Settings are columns of hooks.auth.';

create function hooks.use_bearer(queue text, token text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.store_auth($1, 'bearer', '{}', $2); end $$;
comment on function hooks.use_bearer(text, text) is 'Has requests of a queue carry Authorization: Bearer with this token. Raises 22023 when it is malformed.';

create function hooks.use_basic(queue text, username text, password text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.store_auth($1, 'basic', jsonb_build_object('username', $2), $3); end $$;
comment on function hooks.use_basic(text, text, text) is 'Has requests of a queue carry Authorization: Basic with user name and password. Raises 22023 when they are malformed.';

create function hooks.use_api_key(queue text, header text, key text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.store_auth($1, 'api_key', jsonb_build_object('header', $2), $3); end $$;
comment on function hooks.use_api_key(text, text, text) is 'Has requests of a queue carry a key in the header of this name. Raises 22023 when either is malformed.';

create function hooks.use_oauth2(
  queue text,
  token_url text,
  client_id text,
  client_secret text,
  scope text default null,
  audience text default null,
  client_authentication text default 'basic'
)
returns void
language hooks_plpgsql
as $$
begin
  perform hooks.store_auth($1, 'oauth2', jsonb_build_object(
    'token_url', $2,
    'client_id', $3,
    'scope', $5,
    'audience', $6,
    'client_authentication', $7), $4);
end
$$;
comment on function hooks.use_oauth2(text, text, text, text, text, text, text) is 'Has requests of a queue carry a bearer token of this token endpoint, which the worker asks for with the client''s credentials. Raises 22023 when something is malformed.';

create function hooks.use_certificate(queue text, certificate text, private_key text)
returns void
language hooks_plpgsql
as $$ begin perform hooks.store_auth($1, 'certificate', jsonb_build_object('certificate', $2), $3); end $$;
comment on function hooks.use_certificate(text, text, text) is 'Has a queue show this client certificate, a chain in PEM, to servers that ask for one; its key is in PEM and not encrypted. Raises 22023 when they do not belong together.';

create trigger note_credentials_changed
  after insert or update or delete on hooks.auth
  for each row execute function hooks.note_credentials_changed();
