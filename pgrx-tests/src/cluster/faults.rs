//! Steps of the extension that are made to fail, on a cluster of [`Builder::faulty`](super::Builder::faulty).

use std::time::Duration;

use super::Cluster;
use crate::wait_until;

const READ_DEADLINE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Has places strike as `plan` says (`src/fault/plan.rs`), and no others. Returns when every worker has it.
    ///
    /// A plan that is the one in force already goes on where it is.
    #[track_caller]
    pub fn set_faults(&self, plan: &str) {
        let mut client = self.connect("postgres");
        let query = "select pid from pg_catalog.pg_stat_activity where backend_type like 'pg_hooks%'";
        let workers = client.query(query, &[]).expect("could not list the workers");
        self.reload(&[("hooks.faults", plan)]);
        for worker in workers {
            let pid: i32 = worker.get(0);
            let has_it = format!("plan {pid} {plan}");
            wait_until("a worker to have the plan", READ_DEADLINE, || {
                let lines = self.fault_notes();
                let last = lines
                    .iter()
                    .rfind(|line| line.starts_with(&format!("plan {pid} ")));
                let ended = !self.pids().contains(&pid);
                ended || last.map_or(plan.is_empty(), |line| line.trim_end() == has_it.trim_end())
            });
        }
    }

    /// How often each place has struck so far, in the order of the first times.
    pub fn struck(&self) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for line in self.fault_notes() {
            let Some(place) = line.strip_prefix("struck ") else {
                continue;
            };
            match counts.iter_mut().find(|(known, _)| known == place) {
                Some((_, count)) => *count += 1,
                None => counts.push((place.to_owned(), 1)),
            }
        }
        counts
    }

    /// How often this place has struck so far.
    pub fn strikes(&self, place: &str) -> usize {
        let struck = self.struck();
        let found = struck.iter().find(|(struck, _)| struck == place);
        found.map_or(0, |(_, count)| *count)
    }

    fn fault_notes(&self) -> Vec<String> {
        let notes = std::fs::read_to_string(self.data().join("pg_hooks.faults")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }
}
