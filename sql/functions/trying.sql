-- Trying things out. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.preview_request(
  queue_id bigint,
  request_headers bytea,
  request_body bytea,
  at_us bigint,
  out method text,
  out url text,
  out headers text,
  out body bytea
)
returns setof record
language c
volatile
as 'MODULE_PATHNAME', 'preview_request_wrapper';
comment on function hooks.preview_request(bigint, bytea, bytea, bigint) is 'The request that a message of these contents makes at that time, in microseconds since 1970; values of headers that are secrets are masked.';

create function hooks.preview_message(
  message_id bigint,
  at_us bigint,
  out method text,
  out url text,
  out headers text,
  out body bytea
)
returns setof record
language c
volatile strict
as 'MODULE_PATHNAME', 'preview_message_wrapper';
comment on function hooks.preview_message(bigint, bigint) is 'As hooks.preview_request(), for the next attempt of a message that waits.';

create function hooks.preview(
  queue      text default null,
  body       text default null,
  headers    jsonb default null,
  message_id bigint default null,
  at         timestamptz default null,
  out request_method text,
  out request_url text,
  out request_headers json,
  out request_body bytea
)
returns record
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  wanted constant bigint := case when queue is not null then hooks.allowed_queue(queue, 'manage') end;
  moment constant bigint := (extract(epoch from coalesce(at, clock_timestamp())) * 1000000)::bigint;
  written record;
begin
  if num_nonnulls(queue, message_id) <> 1 or (message_id is not null and num_nonnulls(body, headers) > 0) then
    perform hooks.refuse('preview is of one queue, or of one message',
      'Give queue, body and headers, or message_id alone.');
  end if;
  if message_id is not null then
    -- That of another queue is not told from one that is not there.
    if not exists (select from hooks.message as m where m.id = message_id and hooks.may(m.queue_id, 'manage')) then
      message_id := -1;
    end if;
    select * into written from hooks.preview_message(message_id, moment);
  else
    if exists (select from hooks.queue as q where q.id = wanted and q.transform is not null) then
      perform hooks.refuse(format('queue "%s" has a transform, which a preview does not run', queue),
        'The transform runs as whoever sends. Send within a transaction, preview that message by its message_id, and roll back.');
    end if;
    select * into written
    from hooks.preview_request(wanted, convert_to(hooks.traced(headers)::text, 'UTF8'),
      convert_to(body, 'UTF8'), moment);
  end if;
  request_method := written.method;
  request_url := written.url;
  request_headers := written.headers::json;
  request_body := written.body;
end
$$;
comment on function hooks.preview is 'The request that hooks.send(queue, body, headers => headers) would make, or the next one of a message that waits, as it goes over the wire at that time, which is now unless said otherwise. Sends nothing. Secrets are masked. A queue with a transform, which runs as whoever sends, raises 22023: preview a message that is stored.';

create function hooks.try_queue(
  queue_id bigint,
  headers bytea,
  body bytea,
  timeout_us bigint,
  out webhook_id text,
  out status integer,
  out duration_ms double precision,
  out error_class text,
  out error text,
  out response bytea,
  out truncated boolean
)
returns setof record
language c
volatile strict
as 'MODULE_PATHNAME', 'try_queue_wrapper';
comment on function hooks.try_queue(bigint, bytea, bytea, bigint) is 'Has the worker make one attempt that is of no message, and waits for what comes of it.';

create function hooks.test_queue(
  queue   text,
  body    text default '{"type":"hooks.test"}',
  headers jsonb default '{}',
  timeout interval default '15 seconds',
  out delivered boolean,
  out status integer,
  out duration_ms double precision,
  out error_class text,
  out error text,
  out response bytea,
  out truncated boolean,
  out webhook_id text
)
returns record
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  outcome record;
begin
  if timeout is null or extract(epoch from timeout) not between 1 and 300 then
    perform hooks.refuse('timeout must be between 1 and 300 seconds', 'Give an interval such as ''15 seconds''.');
  end if;
  select * into outcome
  from hooks.try_queue(hooks.allowed_queue(queue, 'manage'),
    convert_to((coalesce(headers, '{}') || '{"hooks-test": "true"}')::text, 'UTF8'),
    convert_to(coalesce(body, ''), 'UTF8'), (extract(epoch from timeout) * 1000000)::bigint);
  delivered := outcome.error_class is null;
  status := outcome.status;
  duration_ms := outcome.duration_ms;
  error_class := outcome.error_class;
  error := outcome.error;
  response := outcome.response;
  truncated := outcome.truncated;
  webhook_id := outcome.webhook_id;
end
$$;
comment on function hooks.test_queue is 'Sends a test to the receiver of a queue at once, also of a paused one, and returns what came of it. It is no message: it is not recorded, not retried, and counts for no limit and no breaker. If it is cancelled, it may still arrive. Raises 55000 when no worker can make it.';

create function hooks.is_own_transaction(transaction xid)
returns boolean
language c
volatile strict
as 'MODULE_PATHNAME', 'is_own_transaction_wrapper';
comment on function hooks.is_own_transaction(xid) is 'Whether this is the running transaction or a part of it.';

create function hooks.wait(
  message_id bigint,
  timeout    interval default '30 seconds',
  out id bigint,
  out queue text,
  out state text,
  out attempts integer,
  out due_at timestamptz,
  out created_at timestamptz,
  out finished_at timestamptz,
  out last_status smallint,
  out last_error text
)
returns record
language hooks_plpgsql
volatile
as $$
#variable_conflict use_variable
declare
  ends constant timestamptz := clock_timestamp() + timeout;
  pause double precision := 0.001;
  own boolean;
begin
  if ends is null or extract(epoch from timeout) not between 0 and 86400 then
    perform hooks.refuse('timeout must be between 0 and 1 day', 'Give an interval such as ''30 seconds''.');
  end if;
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception using errcode = 'active_sql_transaction',
      message = format('hooks.wait() cannot see what becomes of a message in a %s transaction',
        current_setting('transaction_isolation')),
      hint = 'Call it in a transaction of level READ COMMITTED.';
  end if;
  loop
    select hooks.is_own_transaction(m.xmin) into own from hooks.message as m
    where m.id = message_id and hooks.may(m.queue_id, 'read');
    exit when not found;
    if own then
      raise exception using errcode = 'active_sql_transaction',
        message = format('message %s is of this transaction, and is not sent before it commits', message_id),
        hint = 'Commit, and wait then.';
    end if;
    exit when clock_timestamp() >= ends;
    perform pg_sleep(least(pause, extract(epoch from ends - clock_timestamp())));
    pause := least(pause * 1.5, 0.2);
  end loop;
  select s.id, s.queue, s.state, s.attempts, s.due_at, s.created_at, s.finished_at, s.last_status, s.last_error
    into id, queue, state, attempts, due_at, created_at, finished_at, last_status, last_error
  from hooks.status(message_id) as s;
  if not found then
    raise exception using errcode = 'undefined_object',
      message = format('message %s does not exist', coalesce(message_id::text, 'null')),
      hint = 'It was not committed, or is past its retention.';
  end if;
end
$$;
comment on function hooks.wait(bigint, interval) is 'Waits until a message that was committed is finished, and returns its hooks.status(); after the timeout, as it stands then. Raises 25001 in the transaction that sent it and at other levels than READ COMMITTED, which would wait for ever, and 42704 for an id that is not known.';
