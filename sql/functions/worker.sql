-- The worker. Functions in C are in src/api; they are declared here so that names, defaults, privileges
-- and comments of the whole interface are read in one place.

create function hooks.preloaded()
returns boolean
language c
stable
as 'MODULE_PATHNAME', 'preloaded_wrapper';
comment on function hooks.preloaded() is 'Whether the server was started with pg_hooks in shared_preload_libraries.';

create function hooks.workers(
  out pid integer,
  out leader boolean,
  out started_at timestamptz,
  out leader_since timestamptz,
  out in_flight integer,
  out state text
)
returns setof record
language c
volatile
as 'MODULE_PATHNAME', 'workers_wrapper';
comment on function hooks.workers() is 'The background workers of this database; hooks.worker shows them.';

create function hooks.announce()
returns void
language c
volatile
as 'MODULE_PATHNAME', 'announce_wrapper';
comment on function hooks.announce() is 'Has the launcher look for a worker of this database at commit.';

create function hooks.queues_in_flight(
  out queue_id bigint,
  out in_flight bigint
)
returns setof record
language c
volatile
rows 10
as 'MODULE_PATHNAME', 'queues_in_flight_wrapper';
comment on function hooks.queues_in_flight() is 'The queues that have messages on the wire, and how many; with more than 64 on the wire in all, as of a tenth of a second ago at most.';
