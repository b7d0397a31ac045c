//! What the command line asks for.

use std::time::Duration;

use super::nemesis::{self, Fault};
use crate::{Failure, Result};

/// The size of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many are made, one after the other.
    pub faults: usize,
    /// How many all writers store together, at least; half of what belongs to a fault before it begins.
    pub messages: usize,
    pub writers: usize,
    pub seed: u64,
    /// Only faults in whose family or name one of these words is; all if empty.
    pub only: Vec<String>,
    /// Only faults that can be made everywhere.
    pub plain: bool,
    /// Whether the run is bad where a fault is left out.
    pub all: bool,
    /// How long to wait for what should come at once.
    pub patience: Duration,
}

/// The faults of a plan.
pub struct Choice {
    pub faults: Vec<&'static Fault>,
    /// Those that this machine does not allow, and why.
    pub left_out: Vec<(&'static str, String)>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            faults: 60,
            messages: 20_000,
            writers: 4,
            seed: fastrand::u64(1..1_000_000),
            only: Vec::new(),
            plain: false,
            all: false,
            patience: Duration::from_secs(60),
        }
    }
}

impl Plan {
    pub const USAGE: &str = "usage: cargo chaos [faults=60] [messages=20000] [writers=4] [seed=NUMBER] \
        [only=WORD[,WORD]...] [all=yes]\n       cargo chaos bugs [NAME]...";

    /// Each fault that needs neither root nor special tools, once, among a few thousand messages.
    pub fn short(seed: u64) -> Plan {
        Plan {
            faults: nemesis::all().iter().filter(|fault| fault.is_plain()).count(),
            messages: 4_000,
            seed,
            plain: true,
            ..Plan::default()
        }
    }

    /// Each word sets a parameter.
    pub fn parse(words: &[String]) -> Result<Plan> {
        let mut plan = Plan::default();
        for word in words {
            let refused = || Failure::needs_user(Plan::USAGE);
            let (name, value) = word.split_once('=').ok_or_else(refused)?;
            let number = value.parse::<u32>().ok().filter(|number| *number > 0);
            let number = number.map(|number| number as usize);
            match name {
                "faults" => plan.faults = number.ok_or_else(refused)?,
                "messages" => plan.messages = number.ok_or_else(refused)?,
                "writers" => plan.writers = number.filter(|number| *number <= 32).ok_or_else(refused)?,
                "seed" => plan.seed = value.parse().map_err(|_| refused())?,
                "all" if value == "yes" => plan.all = true,
                "only" => plan.only = value.split(',').map(str::to_owned).collect(),
                _ => return Err(refused()),
            }
        }
        Ok(plan)
    }

    /// Which faults to make, in an order that the seed gives and that has each as often as any other.
    pub fn choose(&self) -> Result<Choice> {
        let wanted = |fault: &&Fault| {
            let is_in = |word: &String| fault.family.contains(word) || fault.name.contains(word);
            self.only.is_empty() || self.only.iter().any(is_in)
        };
        let (mut possible, mut left_out) = (Vec::new(), Vec::new());
        let plain = |fault: &&Fault| fault.is_plain() || !self.plain;
        for fault in nemesis::all().into_iter().filter(wanted).filter(plain) {
            match fault.left_out() {
                None => possible.push(fault),
                Some(why) => left_out.push((fault.name, why)),
            }
        }
        if possible.is_empty() {
            return Err(Failure::needs_user(format!("no fault to make: {:?}", self.only)));
        }
        if self.all && self.faults < possible.len() {
            let (faults, possible) = (self.faults, possible.len());
            return Err(Failure::needs_user(format!(
                "{faults} faults, and there are {possible} to make"
            )));
        }
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut chosen = Vec::new();
        while chosen.len() < self.faults {
            random.shuffle(&mut possible);
            chosen.extend(possible.iter().copied().take(self.faults - chosen.len()));
        }
        Ok(Choice {
            faults: chosen,
            left_out,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    fn parse(line: &str) -> crate::Result<Plan> {
        Plan::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_set_parameters() {
        let plan = parse("faults=3 messages=500 seed=7 only=stops,kill").unwrap();
        assert_eq!((plan.faults, plan.messages, plan.seed), (3, 500, 7));
        assert_eq!(plan.only, ["stops", "kill"]);
        assert_eq!(parse("").unwrap().faults, 60);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "faults",
            "faults=0",
            "faults=-1",
            "height=3",
            "seed=x",
            "writers=1000",
            "all=some",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn run_of_all_faults_has_room_for_them() {
        assert!(parse("all=yes faults=5").unwrap().choose().is_err());
        assert!(parse("all=yes only=stops faults=5").unwrap().choose().is_ok());
    }

    #[test]
    fn same_seed_gives_the_same_faults() {
        let names = |seed: &str| {
            let plan = parse(&format!("faults=30 seed={seed}")).unwrap();
            let faults = plan.choose().unwrap().faults;
            faults.iter().map(|fault| fault.name).collect::<Vec<_>>()
        };
        assert_eq!(names("7"), names("7"));
        assert_ne!(names("7"), names("8"));
    }
}
