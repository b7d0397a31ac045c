-- Which database this is. A restored dump, a clone of a template, a subscriber are copies: nothing is sent from them
-- until hooks.adopt() says so. What a copy is told by are the rows of queues, as each says where it belongs; so
-- the mark comes with the rows, in whatever order a restore or replication brings them.

create function hooks.place()
returns text
language c
stable
as 'MODULE_PATHNAME', 'place_wrapper';
comment on function hooks.place() is 'Where this database is: system identifier of the server and oid of the database. The same on a standby, and after it was promoted.';

create function hooks.restoring("table" regclass)
returns boolean
language c
stable strict
as 'MODULE_PATHNAME', 'restoring_wrapper';
comment on function hooks.restoring(regclass) is 'Whether a dump is being restored: a superuser copies rows into this very table, in a session in which check_function_bodies is off as in every dump. What comes was checked when it was first stored. An error where it would be sent at once.';

alter table hooks.installation
  add column place text not null default hooks.place(),
  add column opened_at timestamptz;
comment on column hooks.installation.place is 'Where the extension was made or adopted, as hooks.place() gave it then.';
comment on column hooks.installation.opened_at is 'Start of the server in which hooks.adopt() was last called; hooks.start_paused holds nothing back in it.';

create function hooks.home()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$ select i.webhook_key || '@' || hooks.place() from hooks.installation as i $$;
comment on function hooks.home() is 'What hooks.queue.home says of queues that belong to this database.';

alter table hooks.queue
  add column home text not null default hooks.home();
comment on column hooks.queue.home is 'The database it belongs to. One that belongs to another came with a copy: nothing is sent until hooks.adopt().';
