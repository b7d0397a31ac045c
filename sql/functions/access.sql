-- Who may do what with a queue. Functions in C are in src/api; they are declared here so that names, defaults,
-- privileges and comments of the whole interface are read in one place.
--
-- A SECURITY DEFINER function does not learn who called it, and so cannot ask what he may. Functions that must
-- know are written in hooks_plpgsql: PL/pgSQL that runs as the owner of the function, with nothing but
-- pg_catalog in its path, where hooks.caller() gives the caller. In such a function write
--
--   declare
--     wanted constant bigint := hooks.allowed_queue(queue, 'manage');  -- id by name; 42501 unless he may
--   ... where hooks.may(m.queue_id, 'read') ...                        -- by id, row by row
--
-- What these functions call of ours is called by the same caller. Users cannot make functions in this language.

create function hooks.call_as_owner()
returns language_handler
language c
as 'MODULE_PATHNAME', 'call_as_owner';
comment on function hooks.call_as_owner() is 'Runs functions of the language hooks_plpgsql: as their owner, with the caller noted.';

create function hooks.check_body(oid)
returns void
language c
strict
as 'MODULE_PATHNAME', 'check_body';
comment on function hooks.check_body(oid) is 'Checks the body of a function of the language hooks_plpgsql when it is made, as PL/pgSQL does.';

create language hooks_plpgsql
  handler hooks.call_as_owner
  validator hooks.check_body;
comment on language hooks_plpgsql is 'PL/pgSQL that runs as the owner of the function, who can ask for the caller.';

create function hooks.caller()
returns oid
language c
stable
as 'MODULE_PATHNAME', 'caller_of_wrapper';
comment on function hooks.caller() is 'The role that called the function of pg_hooks that is running, or else the current user.';

create function hooks.may(queue_id bigint, privilege text)
returns boolean
language c
stable
as 'MODULE_PATHNAME', 'caller_may_wrapper';
comment on function hooks.may(bigint, text) is 'Whether the caller may send to, read or manage this queue.';

create function hooks.role_may(role oid, queue_id bigint, privilege text)
returns boolean
language c
stable strict
as 'MODULE_PATHNAME', 'role_may_wrapper';
comment on function hooks.role_may(oid, bigint, text) is 'Whether a role may send to, read or manage this queue.';

create function hooks.allowed_queue(queue text, privilege text)
returns bigint
language c
stable
as 'MODULE_PATHNAME', 'allowed_queue_wrapper';
comment on function hooks.allowed_queue(text, text) is 'Id of the queue of that name; raises 42704 when there is none, and 42501 unless the caller may send to, read or manage it.';

create function hooks.role_is(role oid, name text)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$ select exists (select from pg_catalog.pg_roles as r where r.oid = role and r.rolname::text = name) $$;
comment on function hooks.role_is(oid, text) is 'Whether the role of that number is there under that name: one that got either later is another role.';

-- Asked at each tick of a schedule, and of watches: who made them may have lost the right meanwhile.
create function hooks.owner_problem(owner oid, owner_name text, queue_id bigint)
returns text
language c
stable
as 'MODULE_PATHNAME', 'owner_problem_wrapper';
comment on function hooks.owner_problem(oid, text, bigint) is 'Why what this role set up sends nothing to a queue, or publishes no events without one; null when it does.';

create function hooks.may_read_all()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$ select pg_has_role(hooks.caller(), 'hooks_admin', 'usage') or pg_has_role(hooks.caller(), 'hooks_reader', 'usage') $$;
comment on function hooks.may_read_all() is 'Whether the caller may read the state of every queue.';

create function hooks.listed_queue(queue text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
begin
  if queue is not null then
    return hooks.allowed_queue(queue, 'read');
  end if;
  if not hooks.may_read_all() then
    raise exception using errcode = 'insufficient_privilege',
      message = 'permission denied to list what all queues hold',
      hint = 'Name a queue that you may read, or ask for membership in hooks_reader.';
  end if;
  return null;
end
$$;
comment on function hooks.listed_queue(text) is 'Id of the queue that a list is of, null for all; raises 42501 unless the caller may read it, or all.';
