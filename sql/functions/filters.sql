-- Filters where the worker evaluates them, for operational events and for schedules that publish. Deliveries wait
-- meanwhile, so each has a time, and one that takes longer lets nothing through.

create function hooks.begin_filter(subscription_id bigint, fingerprint bigint)
returns boolean
language c
volatile strict
as 'MODULE_PATHNAME', 'begin_filter_wrapper';
comment on function hooks.begin_filter(bigint, bigint) is 'Whether the worker is to evaluate a filter, which is cancelled when it takes too long; false for one that took too long lately.';

create function hooks.end_filter()
returns void
language c
volatile
as 'MODULE_PATHNAME', 'end_filter_wrapper';
comment on function hooks.end_filter() is 'A filter was evaluated: nothing is cancelled any more.';

create function hooks.filter_overran(subscription_id bigint, fingerprint bigint)
returns boolean
language c
volatile strict
as 'MODULE_PATHNAME', 'filter_overran_wrapper';
comment on function hooks.filter_overran(bigint, bigint) is 'Whether a filter was cancelled because it took too long; then it rests, and the log says so.';

create function hooks.accepts_in_time(
  subscription_id bigint,
  filter    text,
  payload   jsonb,
  variables jsonb
)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  fingerprint constant bigint := hashtextextended(filter, 0);
  accepted boolean;
begin
  if not hooks.begin_filter(subscription_id, fingerprint) then
    return false;
  end if;
  accepted := hooks.accepts(filter, payload, variables);
  perform hooks.end_filter();
  return accepted;
exception
  -- Any other cancellation is meant for the whole statement.
  when query_canceled then
    if hooks.filter_overran(subscription_id, fingerprint) then
      return false;
    end if;
    raise;
  when others then
    perform hooks.end_filter();
    raise;
end
$$;
comment on function hooks.accepts_in_time is 'What hooks.accepts() says, or false if that takes the worker too long.';

-- As hooks.matching_subscriptions, but without transforms, which are functions of users.
create function hooks.subscriptions_told(
  event_type    text,
  payload       jsonb,
  only_named    boolean,
  except_queue  bigint,
  out queue_id bigint,
  out headers jsonb,
  out envelope text
)
returns setof record
language plpgsql
stable
rows 10
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  keys constant text[] := hooks.event_keys(convert_to(event_type, 'UTF8'));
  variables constant jsonb := jsonb_build_object('type', event_type, 'metadata', '{}'::jsonb);
begin
  return query
  with fitting as materialized (
    select s.id, s.queue_id, s.headers, s.envelope, s.filter
    from unnest(keys) as k(match_key)
    cross join lateral (
      select *
      from hooks.subscription as c
      where c.match_key = k.match_key
        and c.active
      offset 0
    ) as s
    where hooks.pattern_matches(s.pattern, event_type)
      and s.transform is null
      and s.queue_id is distinct from except_queue
      and (not only_named or starts_with(s.pattern, 'hooks.'))
  )
  select f.queue_id, f.headers, f.envelope
  from fitting as f
  where f.filter is null or hooks.accepts_in_time(f.id, f.filter, payload, variables);
end
$$;
comment on function hooks.subscriptions_told(text, jsonb, boolean, bigint) is 'The active subscriptions that get an event which the worker publishes: with only_named those whose pattern begins with hooks., and none of except_queue.';
