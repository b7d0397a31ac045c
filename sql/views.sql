-- Views.

create view hooks.worker as
select w.pid, w.leader, w.started_at, w.leader_since, w.in_flight, w.state
from hooks.workers() as w;

comment on view hooks.worker is 'The background workers of this database: who leads, since when, and how many messages are on the wire.';
comment on column hooks.worker.pid is 'Process id.';
comment on column hooks.worker.leader is 'Whether this process delivers; the others wait to take over.';
comment on column hooks.worker.started_at is 'When the process began.';
comment on column hooks.worker.leader_since is 'When it became leader; null for one that waits.';
comment on column hooks.worker.in_flight is 'Messages handed to the I/O threads whose result is not recorded yet.';
comment on column hooks.worker.state is 'leading; waiting, to take over; or held: why nothing is sent, as hooks.hold() says.';

create view hooks.watches as
select w.relation, w.name, w.queue, w.event_type, w.operations, w.for_each, w.columns, w.exclude,
       w.ordering_key, w.headers, w.condition, w.enabled, w.triggers, w.problem, w.owner, w.stopped
from hooks.list_watches() as w;

comment on view hooks.watches is 'The triggers that send what changes in tables: those of hooks.watch(), a row for each watch, and others that call hooks.emit().';
comment on column hooks.watches.relation is 'The table.';
comment on column hooks.watches.name is 'Name of the watch; null for a trigger that hooks.watch() did not make.';
comment on column hooks.watches.queue is 'The queue that messages go to.';
comment on column hooks.watches.event_type is 'The type of the events that are published instead.';
comment on column hooks.watches.operations is 'What is sent: insert, update, delete, truncate.';
comment on column hooks.watches.for_each is 'Whether the triggers fire for each row or once for a statement.';
comment on column hooks.watches.columns is 'The only columns that messages show, if they are named.';
comment on column hooks.watches.exclude is 'The columns that messages do not show, if they are named.';
comment on column hooks.watches.ordering_key is 'The columns whose values make the ordering key, if any.';
comment on column hooks.watches.headers is 'Names of the headers of the messages, if any.';
comment on column hooks.watches.condition is 'The condition of WHEN, if there is one.';
comment on column hooks.watches.enabled is 'Whether all of the triggers are enabled.';
comment on column hooks.watches.triggers is 'The triggers, by name.';
comment on column hooks.watches.problem is 'Why the triggers fail the statements that fire them; null when they do not.';
comment on column hooks.watches.owner is 'On whose right they send: who called hooks.watch(), or for other triggers the owner of the table.';
comment on column hooks.watches.stopped is 'Why they send nothing although statements go through: that role is gone, or has lost the right. Null when they send.';

create view hooks.cron_status as
select c.id, c.name, q.name as queue, c.event_type as event, c.schedule, c.timezone, c.active,
       c.next_run_at, c.last_run_at, c.last_message_id, c.last_event_id, s.state as last_state,
       case when c.active then hooks.owner_problem(c.owner, c.owner_name, c.queue_id) end as problem
from hooks.cron as c
left join hooks.queue as q on q.id = c.queue_id
left join lateral hooks.status(c.last_message_id) as s on true;

comment on view hooks.cron_status is 'Schedules: when each runs next, when it last ran, and what became of that message.';
comment on column hooks.cron_status.id is 'The entry of hooks.cron.';
comment on column hooks.cron_status.name is 'Its name.';
comment on column hooks.cron_status.queue is 'The queue that gets its messages.';
comment on column hooks.cron_status.event is 'The event that it publishes, in place of a queue.';
comment on column hooks.cron_status.schedule is 'When to run.';
comment on column hooks.cron_status.timezone is 'The time zone whose clocks the schedule means.';
comment on column hooks.cron_status.active is 'Whether it runs at all.';
comment on column hooks.cron_status.next_run_at is 'The tick that comes next; null when there is none.';
comment on column hooks.cron_status.last_run_at is 'The last tick that made a message.';
comment on column hooks.cron_status.last_message_id is 'The message that it made.';
comment on column hooks.cron_status.last_event_id is 'The event that it published, in place of a message.';
comment on column hooks.cron_status.last_state is 'State of that message, as in hooks.status(); null when there is none or it is past its retention.';
comment on column hooks.cron_status.problem is 'Why it makes no messages although it is active: its owner is gone, or has lost the right.';
