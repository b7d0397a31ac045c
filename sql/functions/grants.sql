-- Rights of roles on single queues.

-- Whoever makes a queue owns it.
create function hooks.own_queue()
returns trigger
language hooks_plpgsql
as $$
begin
  perform hooks.check_trigger_table(tg_relid);
  insert into hooks.queue_grant (queue_id, privilege, grantee, grantee_name)
  select new.id, 'own', r.oid, r.rolname
  from pg_roles as r
  where r.oid = hooks.caller();
  return null;
end
$$;
comment on function hooks.own_queue() is 'Trigger: notes who made a queue.';

create trigger own_queue
  after insert on hooks.queue
  for each row when (not hooks.restoring('hooks.queue')) execute function hooks.own_queue();

create function hooks.grant_on_queue(queue text, role regrole, privilege text)
returns void
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  granted constant bigint := hooks.allowed_queue(queue, 'manage');
  role_name name;
  inherits boolean;
begin
  select r.rolname, r.rolinherit into role_name, inherits from pg_roles as r where r.oid = role;
  if role_name is null then
    raise exception using errcode = 'undefined_object',
      message = format('role %s does not exist', coalesce(role::text, 'null')),
      hint = 'Name a role as in hooks.grant_send(''orders'', ''shop'').';
  end if;
  if not inherits then
    perform hooks.refuse(format('role "%s" does not inherit rights', role_name),
      'Alter it with INHERIT, or grant to a role that inherits.');
  end if;
  insert into hooks.queue_grant (queue_id, privilege, grantee, grantee_name)
  values (granted, privilege, role, role_name)
  on conflict on constraint queue_grant_pkey do update set grantee_name = excluded.grantee_name, granted_at = now();
  perform hooks.note_queue(granted);
  -- The right to call our functions, of which each asks what the caller may.
  if not pg_has_role(role, 'hooks_user', 'usage') then
    begin
      execute format('grant hooks_user to %I', role_name);
    exception
      -- Another transaction did it at the same time.
      when unique_violation then null;
    end;
  end if;
end
$$;
comment on function hooks.grant_on_queue(text, regrole, text) is 'What hooks.grant_send() and its kin come down to.';

-- What a tenant linked while he had the right would go on sending.
create function hooks.unlink_dead_letters(queue_id bigint, role oid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  unlinked text;
begin
  with changed as (
    update hooks.queue as q set dead_letter_queue_id = null
    from hooks.queue_grant as o
    where q.dead_letter_queue_id = queue_id
      and o.queue_id = q.id
      and o.privilege = 'own'
      and pg_has_role(o.grantee, role, 'usage')
      and not hooks.role_may(o.grantee, queue_id, 'send')
    returning q.name
  )
  select string_agg(format('"%s"', c.name), ', ' order by c.name) into unlinked from changed as c;
  if unlinked is not null then
    raise warning using
      message = format('dead letters of these queues are no longer copied to queue "%s": %s',
        (select q.name from hooks.queue as q where q.id = queue_id), unlinked),
      detail = 'Their owners may not send to it any more.';
  end if;
end
$$;
comment on function hooks.unlink_dead_letters(bigint, oid) is 'Has queues whose owners had the right to send to this one from a role, and have it no more, copy no dead letters to it.';

create function hooks.revoke_on_queue(queue text, role regrole, privilege text)
returns boolean
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  revoked constant bigint := hooks.allowed_queue(queue, 'manage');
  there boolean;
begin
  delete from hooks.queue_grant as g where g.queue_id = revoked and g.privilege = privilege and g.grantee = role;
  there := found;
  perform hooks.note_queue(revoked);
  if privilege <> 'read' then
    perform hooks.unlink_dead_letters(revoked, role);
  end if;
  return there;
end
$$;
comment on function hooks.revoke_on_queue(text, regrole, text) is 'What hooks.revoke_send() and its kin come down to.';

create function hooks.grant_send(queue text, role regrole)
returns void
language hooks_plpgsql
as $$ begin perform hooks.grant_on_queue($1, $2, 'send'); end $$;
comment on function hooks.grant_send(text, regrole) is 'Lets a role, and all that inherit its rights, send to this queue and do nothing else.';

create function hooks.revoke_send(queue text, role regrole)
returns boolean
language hooks_plpgsql
as $$ begin return hooks.revoke_on_queue($1, $2, 'send'); end $$;
comment on function hooks.revoke_send(text, regrole) is 'Takes back what hooks.grant_send() gave. Returns false when there was nothing. What a role has from others, from owning the queue or from hooks_sender, stays.';

create function hooks.grant_read(queue text, role regrole)
returns void
language hooks_plpgsql
as $$ begin perform hooks.grant_on_queue($1, $2, 'read'); end $$;
comment on function hooks.grant_read(text, regrole) is 'Lets a role, and all that inherit its rights, see where the messages of this queue stand, without their bodies.';

create function hooks.revoke_read(queue text, role regrole)
returns boolean
language hooks_plpgsql
as $$ begin return hooks.revoke_on_queue($1, $2, 'read'); end $$;
comment on function hooks.revoke_read(text, regrole) is 'Takes back what hooks.grant_read() gave. Returns false when there was nothing.';

create function hooks.give_queue(queue text, role regrole)
returns void
language hooks_plpgsql
as $$
#variable_conflict use_variable
declare
  given constant bigint := hooks.allowed_queue(queue, 'manage');
  former oid;
begin
  perform hooks.check_gives_no_credential(hooks.queue_id(queue));
  perform hooks.grant_on_queue(queue, role, 'own');
  for former in
    delete from hooks.queue_grant as g
    where g.queue_id = given and g.privilege = 'own' and g.grantee <> role
    returning g.grantee
  loop
    perform hooks.unlink_dead_letters(given, former);
  end loop;
end
$$;
comment on function hooks.give_queue(text, regrole) is 'Makes a role the owner of a queue, in place of the one before. Raises 55000 while the queue authenticates with its receiver.';

create function hooks.adopt_roles()
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  moved hooks.queue_grant[];
  entry record;
  entries bigint := 0;
  watches bigint;
  role_name name;
begin
  -- All are taken out before any is put back: roles may have exchanged their numbers, or have one that was somebody else's.
  with gone as (
    delete from hooks.queue_grant as g
    using pg_roles as r
    where r.rolname::text = g.grantee_name and r.oid <> g.grantee
    returning g.queue_id, g.privilege, r.oid as role, g.grantee_name, g.granted_at
  )
  select array_agg(row(n.queue_id, n.privilege, n.role, n.grantee_name, n.granted_at)::hooks.queue_grant)
  into moved
  from gone as n;
  insert into hooks.queue_grant (queue_id, privilege, grantee, grantee_name, granted_at)
  select distinct on (m.queue_id, m.privilege, m.grantee)
         m.queue_id, m.privilege, m.grantee, m.grantee_name, m.granted_at
  from unnest(moved) as m
  order by m.queue_id, m.privilege, m.grantee, m.granted_at
  -- The row of a name that nobody has now, or of this one.
  on conflict on constraint queue_grant_pkey do update
  set (grantee_name, granted_at) = row(excluded.grantee_name, excluded.granted_at);
  -- An entry that is not valid here stays as it is, as it does not run.
  for entry in
    select c.id, c.name, r.oid as role
    from hooks.cron as c
    join pg_roles as r on r.rolname::text = c.owner_name and r.oid <> c.owner
    order by c.id
  loop
    begin
      update hooks.cron as c set owner = entry.role where c.id = entry.id;
      entries := entries + 1;
    exception
      when others then
        raise warning 'schedule "%" keeps the owner that it had: %', entry.name, sqlerrm;
    end;
  end loop;
  update hooks.watch_owner as o set owner = r.oid
  from pg_roles as r
  where r.rolname::text = o.owner_name and r.oid <> o.owner;
  get diagnostics watches = row_count;
  -- As hooks.grant_on_queue() did on the other server, whose memberships only pg_dumpall brings.
  for role_name in
    select distinct r.rolname
    from hooks.queue_grant as g
    join pg_roles as r on r.oid = g.grantee and r.rolname::text = g.grantee_name
    where not pg_has_role(r.oid, 'hooks_user', 'member')
  loop
    begin
      execute format('grant hooks_user to %I', role_name);
    exception
      -- Another transaction did it at the same time.
      when unique_violation then null;
    end;
  end loop;
  perform hooks.announce();
  -- Sessions remember who made a watch.
  perform hooks.note_queue(0);
  return coalesce(cardinality(moved), 0) + entries + watches;
end
$$;
comment on function hooks.adopt_roles() is 'Has rights on queues, schedules and watches belong to the roles that have the names now, after a restore into another server. Returns how many were changed. Superusers only: a role made anew under an old name would get what the old one had.';
