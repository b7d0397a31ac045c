//! Bugs that are put in on purpose: a checker that finds nothing is worth something only if it finds these.
//!
//! Each is planted in the installed extension, by triggers that fire for the worker as well or by changes of
//! tables, so that the extension under test is the one that is shipped.

use std::time::Duration;

use super::Plan;
use super::checker::{Offence, Verdict};
use super::run::run_sabotaged;
use crate::{Failure, Result};

/// A bug, and what it is to be found as.
pub struct Bug {
    pub name: &'static str,
    /// Plants it.
    sabotage: &'static str,
    /// The faults that bring it out.
    only: &'static [&'static str],
    faults: usize,
    /// The offences as which it shows.
    shows_as: &'static [Offence],
}

pub const BUGS: &[Bug] = &[
    Bug {
        name: "send before commit",
        // Some messages are stored by a session of their own, whatever becomes of the transaction.
        sabotage: "
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
              for each row when (new.id % 10 = 0 and new.cron_id is null) execute function chaos.bug();",
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::Phantom],
    },
    Bug {
        name: "results not fenced",
        // The result of a message that was cancelled meanwhile is recorded all the same.
        sabotage: "
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
            alter table hooks.attempt enable always trigger bug;",
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::EndedTwice],
    },
    Bug {
        name: "unlogged table",
        sabotage: "alter table hooks.message set unlogged",
        only: &["kill -9 of the leader", "immediate stop"],
        faults: 3,
        shows_as: &[Offence::Lost],
    },
    Bug {
        name: "new id on retry",
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.id := nextval('hooks.message_id_seq');
              return new;
            end
            $$;
            create trigger bug before update on hooks.message
              for each row when (new.attempt > old.attempt) execute function chaos.bug();
            alter table hooks.message enable always trigger bug;",
        only: &["kill -9 of the leader"],
        faults: 2,
        shows_as: &[Offence::Altered],
    },
    Bug {
        name: "wake lost",
        sabotage: "alter table hooks.message disable trigger user",
        only: &["settings reloaded"],
        faults: 1,
        shows_as: &[Offence::Stuck, Offence::SlowRecovery],
    },
    Bug {
        name: "probation off",
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.deaths := 0;
              return new;
            end
            $$;
            create trigger bug before update on hooks.message for each row execute function chaos.bug();
            alter table hooks.message enable always trigger bug;",
        only: &["a message that kills the worker"],
        faults: 1,
        shows_as: &[Offence::KillsOnAndOn],
    },
    Bug {
        name: "cron without unique tick",
        // The plan is not replaced together with the message of the tick.
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.next_run_at := old.next_run_at;
              return new;
            end
            $$;
            create trigger bug before update on hooks.cron
              for each row when (old.next_run_at < new.next_run_at) execute function chaos.bug();
            alter table hooks.cron enable always trigger bug;",
        only: &["kill -9 of the leader"],
        faults: 3,
        shows_as: &[Offence::TickTwice],
    },
    Bug {
        name: "ordering ignored",
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.ordering_key := null;
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message for each row execute function chaos.bug();",
        only: &["settings reloaded"],
        faults: 2,
        shows_as: &[Offence::OutOfOrder],
    },
    Bug {
        name: "dead letter in another transaction",
        // What a crash between the two leaves: the message is gone, and the letter is not there.
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$ begin return null; end $$;
            create trigger bug before insert on hooks.dead_letter
              for each row when (new.id % 3 = 0) execute function chaos.bug();
            alter table hooks.dead_letter enable always trigger bug;",
        only: &["settings reloaded"],
        faults: 3,
        shows_as: &[Offence::Lost],
    },
    Bug {
        name: "body altered",
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$
            begin
              new.body := new.body || ' ';
              return new;
            end
            $$;
            create trigger bug before insert on hooks.message
              for each row when (new.id % 50 = 0 and new.cron_id is null) execute function chaos.bug();",
        only: &["settings reloaded"],
        faults: 2,
        shows_as: &[Offence::Altered],
    },
    Bug {
        name: "accepted answer not recorded",
        sabotage: "
            create function chaos.bug() returns trigger language plpgsql as $$ begin return null; end $$;
            create trigger bug before delete on hooks.message
              for each row when (old.id % 50 = 0) execute function chaos.bug();
            alter table hooks.message enable always trigger bug;",
        only: &["settings reloaded"],
        faults: 2,
        shows_as: &[Offence::Stuck],
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

    /// Runs a plan on an extension that has it. What the checker says.
    ///
    /// # Errors
    /// When the run could not be done.
    pub fn try_out(&self, seed: u64) -> Result<Verdict> {
        let plan = Plan {
            faults: self.faults,
            messages: 500 * self.faults,
            // The bar is ten seconds.
            patience: Duration::from_secs(11),
            only: self.only.iter().map(|word| (*word).to_owned()).collect(),
            ..Plan::short(seed)
        };
        run_sabotaged(&plan, self.sabotage).map(|report| report.verdict)
    }

    /// Whether it shows in this verdict as what it is.
    pub fn is_caught(&self, verdict: &Verdict) -> bool {
        self.shows_as.iter().any(|offence| verdict.has(*offence))
    }
}
