//! Bugs that are put in on purpose: a checker that finds nothing is worth something only if it finds these.
//!
//! Each is planted in the installed extension, by triggers that fire for the worker as well or by changes of
//! tables and functions, so that the extension under test is the one that is shipped. What lies too deep for that is in
//! the build with the feature `faults`.

use std::time::Duration;

use super::Plan;
use super::checker::{Offence, Verdict};
use super::run::{Report, run_sabotaged};
use super::world::Sabotage;
use crate::{Failure, Result};

/// A bug, and what it is to be found as.
pub struct Bug {
    pub name: &'static str,
    /// Plants it.
    sabotage: Sabotage,
    /// The faults that bring it out.
    only: &'static [&'static str],
    faults: usize,
    /// The offences as which it shows.
    shows_as: &'static [Offence],
}

pub const BUGS: &[Bug] = &[
    Bug {
        // What is not committed cannot be read, and so cannot be sent; but it can be stored by another session, and
        // then stays whatever becomes of the transaction.
        name: "stored outside of the transaction",
        sabotage: Sabotage::Sql("
            create extension dblink;
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              perform public.dblink_exec(
                format('host=%s port=%s user=postgres dbname=%s',
                       split_part(current_setting('unix_socket_directories'), ',', 1),
                       current_setting('port'), current_database()),
                format('set session_replication_role = replica;
                        insert into hooks.message (queue_id, due_at, body, body_bytes) values (%L, %L, %L, %L);
                        update hooks.queue set updated_at = now() where id = %L',
                       new.queue_id, new.due_at, new.body, new.body_bytes, new.queue_id));
              return null;
            end
            $$;
            create trigger bug after insert on hooks.message
              for each row when (new.id % 10 = 0 and new.cron_id is null) execute function chaos.bug();"),
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::Phantom],
    },
    Bug {
        name: "results not fenced",
        // The result of a message that was cancelled meanwhile is recorded all the same.
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              if not exists (select from hooks.message as m where m.id = new.message_id) then
                insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
                values (new.message_id, new.queue_id, 'delivered', new.attempt, now(), now(), now());
              end if;
              return null;
            end
            $$;
            create trigger bug after insert on hooks.attempt for each row execute function chaos.bug();
            alter table hooks.attempt enable always trigger bug;"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::EndedTwice],
    },
    Bug {
        name: "unlogged table",
        sabotage: Sabotage::Sql("alter table hooks.message set unlogged"),
        only: &["kill -9 of the leader", "immediate stop"],
        faults: 3,
        shows_as: &[Offence::Lost],
    },
    Bug {
        name: "new id on retry",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.id := nextval('hooks.message_id_seq');
              return new;
            end
            $$;
            create trigger bug before update on hooks.message
              for each row when (new.attempt > old.attempt) execute function chaos.bug();
            alter table hooks.message enable always trigger bug;"),
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::Altered],
    },
    Bug {
        name: "wake lost",
        sabotage: Sabotage::Sql("alter table hooks.message disable trigger user"),
        only: &["settings reloaded"],
        faults: 1,
        shows_as: &[Offence::Stuck, Offence::SlowRecovery],
    },
    Bug {
        name: "probation off",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.deaths := 0;
              return new;
            end
            $$;
            create trigger bug before update on hooks.message for each row execute function chaos.bug();
            alter table hooks.message enable always trigger bug;"),
        only: &["a message that kills the worker"],
        faults: 1,
        shows_as: &[Offence::KillsOnAndOn],
    },
    Bug {
        name: "cron without unique tick",
        // The plan is not replaced together with the message of the tick.
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.next_run_at := old.next_run_at;
              return new;
            end
            $$;
            create trigger bug before update on hooks.cron
              for each row when (old.next_run_at < new.next_run_at) execute function chaos.bug();
            alter table hooks.cron enable always trigger bug;"),
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::TickTwice],
    },
    Bug {
        name: "ordering ignored",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.ordering_key := null;
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message for each row execute function chaos.bug();"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::OutOfOrder],
    },
    Bug {
        name: "binary bodies refused",
        // Nothing is lost of what is never stored.
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              raise 'no binary bodies';
            end
            $$;
            create trigger bug before insert on hooks.message
              for each row when (new.body_bytes is not null) execute function chaos.bug();"),
        only: &["settings reloaded"],
        faults: 2,
        shows_as: &[Offence::Refused, Offence::NeverDone],
    },
    Bug {
        name: "expired before its time",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.expires_at := new.due_at + interval '1 ms';
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message
              for each row when (new.expires_at is not null) execute function chaos.bug();"),
        only: &["settings reloaded"],
        faults: 2,
        shows_as: &[Offence::EndedWrongly],
    },
    Bug {
        name: "dead letter in another transaction",
        // A session of its own buries it two seconds later, if it is still there then. The copy waits meanwhile, so
        // that at the end of the run all letters that come at all are there.
        sabotage: Sabotage::Sql("
            create extension dblink;
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              perform public.dblink_connect('bug',
                format('host=%s port=%s user=postgres dbname=%s',
                       split_part(current_setting('unix_socket_directories'), ',', 1),
                       current_setting('port'), current_database()));
              perform public.dblink_send_query('bug',
                format('select pg_sleep(2);
                        insert into hooks.dead_letter
                        select d.* from json_populate_record(null::hooks.dead_letter, %L) as d',
                       row_to_json(new)));
              perform public.dblink_disconnect('bug');
              return null;
            end
            $$;
            create trigger bug before insert on hooks.dead_letter for each row execute function chaos.bug();
            alter table hooks.dead_letter enable replica trigger bug;
            create function chaos.later() returns trigger language plpgsql as $$
            begin
              new.due_at := new.due_at + interval '4 s';
              return new;
            end
            $$;
            create trigger later before insert on hooks.message
              for each row when (new.headers ? 'hooks-dead-message') execute function chaos.later();
            alter table hooks.message enable replica trigger later;"),
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::Lost],
    },
    Bug {
        name: "body altered",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.body := new.body || ' ';
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message
              for each row when (new.id % 50 = 0 and new.cron_id is null) execute function chaos.bug();"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::Altered],
    },
    Bug {
        name: "accepted answer not recorded",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$ begin return null; end $$;
            create trigger bug before delete on hooks.message
              for each row when (old.id % 50 = 0) execute function chaos.bug();
            alter table hooks.message enable always trigger bug;"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::Stuck],
    },
    Bug {
        name: "low-water mark too high",
        // A walk begins some milliseconds behind what the last one had read, or a late commit told of.
        sabotage: Sabotage::Fault("bug: mark too high:always"),
        only: &["settings reloaded"],
        faults: 5,
        shows_as: &[Offence::Stuck],
    },
    Bug {
        name: "accepted attempt sent again",
        sabotage: Sabotage::Fault("bug: sent twice:every 50"),
        only: &["settings reloaded"],
        faults: 5,
        shows_as: &[Offence::Repeated],
    },
    Bug {
        name: "due time ignored",
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.due_at := new.created_at;
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message for each row execute function chaos.bug();"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::Early],
    },
    Bug {
        name: "cancel ignored",
        sabotage: Sabotage::Sql("
            create or replace function hooks.cancel(id bigint) returns boolean language sql volatile as $$
              select exists (select from hooks.message as m where m.id = cancel.id)
            $$;"),
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::NotCancelled],
    },
    Bug {
        name: "tick passed over",
        // Each other one: runs are short.
        sabotage: Sabotage::Sql("
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.next_run_at := new.next_run_at + interval '1 s';
              return new;
            end
            $$;
            create trigger bug before update on hooks.cron
              for each row when (extract(epoch from new.next_run_at)::bigint % 2 = 0)
              execute function chaos.bug();
            alter table hooks.cron enable always trigger bug;"),
        only: &["settings reloaded"],
        faults: 5,
        shows_as: &[Offence::TickMissing],
    },
];

impl Bug {
    /// The bugs of these names, or all.
    ///
    /// # Errors
    /// When there is none of a name.
    pub fn named(names: &[String]) -> Result<Vec<&'static Bug>> {
        for name in names {
            if !BUGS.iter().any(|bug| bug.name.contains(name.as_str())) {
                let known: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
                return Err(Failure::needs_user(format!(
                    "no bug {name:?}; there are {known:?}"
                )));
            }
        }
        let wanted =
            |bug: &&Bug| names.is_empty() || names.iter().any(|name| bug.name.contains(name.as_str()));
        Ok(BUGS.iter().filter(wanted).collect())
    }

    /// Runs its plan on an extension that has it.
    ///
    /// # Errors
    /// When the run could not be done.
    pub fn try_out(&self, seed: u64) -> Result<Report> {
        run_sabotaged(&self.plan(seed), &self.sabotage)
    }

    /// Runs the same plan on the same build without it: nothing is to be found.
    ///
    /// # Errors
    /// When the run could not be done.
    pub fn control(&self, seed: u64) -> Result<Report> {
        run_sabotaged(&self.plan(seed), &self.sabotage.lifted())
    }

    /// Whether both have the same control.
    pub fn shares_control_with(&self, other: &Bug) -> bool {
        let in_same_build = self.sabotage.lifted() == other.sabotage.lifted();
        in_same_build && (self.only, self.faults) == (other.only, other.faults)
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan {
            faults: self.faults,
            messages: 500 * self.faults,
            // The bar is ten seconds.
            patience: Duration::from_secs(11),
            only: self.only.iter().map(|word| (*word).to_owned()).collect(),
            ..Plan::short(seed)
        }
    }

    /// Whether it shows in this verdict as what it is.
    pub fn is_caught(&self, verdict: &Verdict) -> bool {
        self.shows_as.iter().any(|offence| verdict.has(*offence))
    }
}
