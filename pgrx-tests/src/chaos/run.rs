//! One run: writers write, faults come one after the other, then all is let settle and checked.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Plan;
use super::checker::{self, Evidence, Verdict};
use super::disturbance::Disturbance;
use super::evidence::Tables;
use super::journal::now_us;
use super::nemesis::{self, Fault, Whim};
use super::world::{MAX_IN_FLIGHT, Sabotage, World};
use super::writer::Writer;
use crate::wait::try_wait;
use crate::{Failure, Result, checkout};

/// Writers that have so long not stored what they may are held up by the fault itself.
const WRITES_WITHIN: Duration = Duration::from_secs(30);

/// What came of a run.
pub struct Report {
    pub plan: Plan,
    pub disturbances: Vec<Disturbance>,
    pub left_out: Vec<(&'static str, String)>,
    pub verdict: Verdict,
    /// Processes of the server that ended by a signal that nobody sent, as its log has it.
    pub crashes: Vec<String>,
    pub took: Duration,
}

impl Report {
    pub fn is_good(&self) -> bool {
        let nothing_is_missing = self.left_out.is_empty() || !self.plan.all;
        self.verdict.is_good() && self.crashes.is_empty() && nothing_is_missing
    }
}

/// Runs a plan on a server of its own.
pub fn run(plan: &Plan) -> Result<Report> {
    run_sabotaged(plan, &Sabotage::None)
}

/// Runs a plan on an extension to which this was done.
pub fn run_sabotaged(plan: &Plan, sabotage: &Sabotage) -> Result<Report> {
    let begun = Instant::now();
    let choice = plan.choose()?;
    let world = World::create(plan, sabotage)?;
    let disturbances = std::thread::scope(|scope| {
        let over = Over(&world);
        for number in 1..=plan.writers {
            let writer = Writer::new(&world, u32::try_from(number).unwrap_or(u32::MAX));
            scope.spawn(move || writer.write());
        }
        let disturbances = disturb(&world, plan, &choice.faults);
        drop(over);
        disturbances
    });
    let disturbances = disturbances.inspect_err(|_| _ = keep_papers(&world))?;
    let ticks_until_us = settle(&world)?;
    let tables = Tables::read(&mut world.session()?)?;
    let evidence = Evidence {
        notes: world.journal.notes(),
        arrivals: world.desk.arrivals(),
        tables,
        disturbances,
        clock: world.clock.shifts(),
        standstills: world.watch.seen(),
        max_in_flight: MAX_IN_FLIGHT,
        planned: plan.messages,
        ticks_until_us,
    };
    let verdict = checker::check(&evidence);
    keep_papers(&world)?;
    keep_evidence(&evidence)?;
    Ok(Report {
        plan: plan.clone(),
        verdict,
        disturbances: evidence.disturbances,
        left_out: choice.left_out,
        crashes: crashes(&world.logs()),
        took: begun.elapsed(),
    })
}

/// Ends the writers, also when the nemesis fails.
struct Over<'a>(&'a World);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// One fault after the other. Half of the messages that belong to one may be stored before it begins.
fn disturb(world: &World, plan: &Plan, faults: &[&'static Fault]) -> Result<Vec<Disturbance>> {
    let mut whim = Whim::new(plan.seed ^ 0xfa17, plan.plain);
    let mut disturbances = Vec::new();
    for (place, fault) in faults.iter().enumerate() {
        let share = |halves: usize| plan.messages * halves / (2 * faults.len() * plan.writers) + 1;
        world.allowance.store(share(2 * place + 1), Ordering::Relaxed);
        let enough = plan.writers * share(2 * place + 1);
        // Not all of it: what is left is written at the very moment of the fault.
        let _ = try_wait(WRITES_WITHIN, || {
            world.written.load(Ordering::Relaxed) * 10 >= enough * 9
        });
        world.allowance.store(share(2 * place + 2), Ordering::Relaxed);
        let disturbance = nemesis::disturb(world, fault, &mut whim)?;
        println!(
            "{:>4}/{} {:<34} lifted after {:>6.1} s, first send {:>5.0} ms later{}; {} written",
            place + 1,
            faults.len(),
            fault.name,
            (disturbance.lifted_us - disturbance.begun_us) as f64 / 1e6,
            disturbance.first_send_ms.unwrap_or(f64::INFINITY),
            if disturbance.leader_changed {
                ", another leader"
            } else {
                ""
            },
            world.written.load(Ordering::Relaxed),
        );
        disturbances.push(disturbance);
    }
    let written = || world.written.load(Ordering::Relaxed);
    // As long as it takes, if something is stored meanwhile: the checker says so when it was too little.
    let mut before = usize::MAX;
    while written() < plan.messages && written() != before {
        before = written();
        let _ = try_wait(WRITES_WITHIN, || written() > before);
    }
    Ok(disturbances)
}

/// Ends what is left open, and waits until no message waits. Gives when schedules ended.
fn settle(world: &World) -> Result<i64> {
    let mut client = world.session()?;
    let sql = |error: postgres::Error| Failure::because("could not settle", format!("{error:?}"));
    let left = "select gid from pg_prepared_xacts where database = current_database()";
    for row in client.query(left, &[]).map_err(sql)? {
        let end = format!("rollback prepared '{}'", row.get::<_, String>(0));
        client.batch_execute(&end).map_err(sql)?;
    }
    let ticks_until_us = now_us();
    client
        .batch_execute("select hooks.unschedule('tick')")
        .map_err(sql)?;
    let settled = try_wait(2 * world.patience, || {
        std::thread::sleep(Duration::from_millis(50));
        let waiting = client.query_one("select not exists (select from hooks.message)", &[]);
        waiting.is_ok_and(|row| row.get::<_, bool>(0))
    });
    if settled.is_err() {
        println!("messages still wait after {:?}", 2 * world.patience);
    }
    Ok(ticks_until_us)
}

/// Where the accounts and the server's log of the last run stay, for people.
fn papers() -> PathBuf {
    checkout::target().join("chaos")
}

fn keep_papers(world: &World) -> Result<()> {
    world.journal.flush();
    let journal = std::fs::read_to_string(&world.journal.file);
    let journal = journal.map_err(|error| Failure::because("could not read the journal", error))?;
    keep("journal", &journal)?;
    keep("server.log", &world.logs())
}

/// Times are in microseconds since 1970.
fn keep_evidence(evidence: &Evidence) -> Result<()> {
    let mut arrivals = String::from("arrived answered path message attempt reply\n");
    for arrival in &evidence.arrivals {
        let answered_us = arrival.answered_us.map_or("-".to_owned(), |us| us.to_string());
        let (at_us, path, id) = (arrival.at_us, arrival.path, arrival.message_id);
        let (attempt, reply) = (arrival.attempt, arrival.reply);
        let _ = writeln!(arrivals, "{at_us} {answered_us} {path} {id} {attempt} {reply:?}");
    }
    keep("arrivals", &arrivals)?;
    let faults = evidence.disturbances.iter().map(|fault| format!("{fault:?}\n"));
    keep("faults", &faults.collect::<String>())?;
    let standstills = evidence.standstills.iter().map(|it| format!("{it:?}\n"));
    keep("standstills", &standstills.collect::<String>())
}

fn keep(name: &str, text: &str) -> Result<()> {
    let folder = papers();
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), text));
    kept.map_err(|error| Failure::because(format_args!("could not write to {}", folder.display()), error))
}

/// What no kill -9 explains.
fn crashes(log: &str) -> Vec<String> {
    let ended = log.lines().filter(|line| {
        line.contains("was terminated by signal") && !line.contains("by signal 9")
            || line.contains("panicked at")
            || line.contains("PANIC:")
    });
    ended.map(str::to_owned).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.verdict.figures;
        writeln!(
            formatter,
            "\n{:<36} {:>5} {:>9} {:>14}",
            "fault", "times", "crashes", "first send"
        )?;
        let mut names: Vec<_> = self.disturbances.iter().map(|fault| fault.name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let of_it: Vec<_> = self
                .disturbances
                .iter()
                .filter(|fault| fault.name == name)
                .collect();
            let changed = of_it.iter().filter(|fault| fault.leader_changed).count();
            let slowest = of_it
                .iter()
                .filter_map(|fault| fault.first_send_ms)
                .fold(0.0, f64::max);
            writeln!(
                formatter,
                "{name:<36} {:>5} {changed:>9} {slowest:>11.0} ms",
                of_it.len()
            )?;
        }
        for (name, why) in &self.left_out {
            writeln!(formatter, "{name:<36} left out: {why}")?;
        }
        writeln!(
            formatter,
            "\n{} faults, {} transactions, {} messages committed, {} of them by writers of {} planned, {} statements \
             refused meanwhile, {} taken back, {} of unknown end at first, {} forgotten by crashes as \
             synchronous_commit = off permits",
            self.disturbances.len(),
            figures.transactions,
            figures.committed,
            figures.stored,
            self.plan.messages,
            figures.refused,
            figures.rolled_back,
            figures.unknown,
            figures.forgotten
        )?;
        writeln!(
            formatter,
            "{} requests, {} delivered, {} dead, {} expired, {} cancelled, {} keys, {} ticks; sent again after crashes {} \
             (most after one: {} of {} that had been on the wire), after standing still {}, late {}; suspects buried {}; most deaths of one \
             message {}; slowest first send {:.0} ms",
            figures.arrivals,
            figures.delivered,
            figures.dead,
            figures.expired,
            figures.cancelled,
            figures.keys,
            figures.ticks,
            figures.sent_again,
            figures.most_sent_again,
            figures.on_the_wire_then,
            figures.unheard,
            figures.late,
            figures.suspects_buried,
            figures.most_deaths,
            figures.slowest_first_send_ms
        )?;
        write!(formatter, "{}", self.verdict)?;
        for crash in &self.crashes {
            writeln!(formatter, "in the server's log: {crash}")?;
        }
        let word = if self.is_good() { "good" } else { "BAD" };
        write!(
            formatter,
            "chaos: {word} (seed {}, {:.0} s)",
            self.plan.seed,
            self.took.as_secs_f64()
        )
    }
}
