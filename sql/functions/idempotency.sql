-- Idempotency keys.

create function hooks.idempotency_seconds()
returns double precision
language c
stable
as 'MODULE_PATHNAME', 'idempotency_seconds_wrapper';
comment on function hooks.idempotency_seconds() is 'How long a key is remembered: hooks.idempotency_window in seconds.';

-- Whoever inserts first has the key; others wait for the end of that transaction, by the primary key.
create function hooks.claim_key(
  scope    text,
  key      text,
  sequence regclass,
  wanted   bigint default null,
  out id bigint,
  out first boolean
)
returns record
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  ends constant timestamptz := now() + make_interval(secs => hooks.idempotency_seconds());
  expired boolean;
begin
  if octet_length(key) not between 1 and 255 then
    perform hooks.refuse('idempotency key must have 1 to 255 bytes',
      'Leave it out for a message that is made each time.');
  end if;
  loop
    insert into hooks.idempotency_key as k (scope, key, id, expires_at)
    values (scope, key, coalesce(wanted, nextval(sequence)), ends)
    on conflict on constraint idempotency_key_pkey do nothing
    returning k.id into id;
    first := found;
    exit when first;
    select k.id, k.expires_at <= now() into id, expired
    from hooks.idempotency_key as k
    where k.scope = claim_key.scope and k.key = claim_key.key;
    exit when found and not expired;
    update hooks.idempotency_key as k
    set id = coalesce(wanted, nextval(sequence)), expires_at = ends
    where k.scope = claim_key.scope and k.key = claim_key.key and k.expires_at <= now()
    returning k.id into id;
    first := found;
    exit when first;
    -- It was removed or taken anew in between: look again.
  end loop;
end
$$;
comment on function hooks.claim_key(text, text, regclass, bigint) is 'Takes an idempotency key for the id that is wanted, or else the next one of the sequence; or gives the id that has it.';
