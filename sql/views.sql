-- Views.

create view hooks.worker as
select w.pid, w.leader, w.started_at, w.leader_since, w.in_flight
from hooks.workers() as w;

comment on view hooks.worker is 'The background workers of this database: who leads, since when, and how many messages are on the wire.';
comment on column hooks.worker.pid is 'Process id.';
comment on column hooks.worker.leader is 'Whether this process delivers; the others wait to take over.';
comment on column hooks.worker.started_at is 'When the process began.';
comment on column hooks.worker.leader_since is 'When it became leader; null for one that waits.';
comment on column hooks.worker.in_flight is 'Messages handed to the I/O threads whose result is not recorded yet.';
