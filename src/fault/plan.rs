//! Which places strike, and when: `dial, record::RETRY:2, message::FETCH:always=22000, socket.read:every 3=104`.
//!
//! A place without more strikes once, in one of the processes. Otherwise each process counts for itself, from the
//! moment it has the plan. That a process has a plan and that a place struck are lines in the file
//! `pg_hooks.faults` of the data folder, where tests look for them.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Strike;
use super::places::PLACES;

/// Relative to the data folder, in which all processes of a server are.
const NOTES: &str = "pg_hooks.faults";

static ARMED: AtomicBool = AtomicBool::new(false);
static PLAN: RwLock<Option<Plan>> = RwLock::new(None);

/// A plan as the setting says it.
pub struct Plan {
    text: String,
    faults: Vec<Fault>,
}

struct Fault {
    place: &'static str,
    when: When,
    argument: Option<String>,
    reached: AtomicU32,
}

#[derive(Clone, Copy)]
enum When {
    Once,
    Always,
    Nth(u32),
    Every(u32),
}

impl Plan {
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Plan {
            text: text.to_owned(),
            faults: entries.map(Fault::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Fault {
    /// `place`, `place:when` or either with `=argument`. Names of places may hold a colon or two.
    fn parse(entry: &str) -> Result<Fault, String> {
        let (step, argument) = entry.split_once('=').map_or((entry, None), |(step, argument)| {
            (step, Some(argument.to_owned()))
        });
        let known = |name: &str| PLACES.iter().find(|place| **place == name).copied();
        let (place, when) = match (known(step), step.rsplit_once(':')) {
            (Some(place), _) => (place, When::Once),
            (None, Some((name, when))) => {
                let place = known(name).ok_or_else(|| format!("there is no place \"{name}\""))?;
                (place, When::parse(when)?)
            }
            (None, None) => return Err(format!("there is no place \"{step}\"")),
        };
        Ok(Fault {
            place,
            when,
            argument,
            reached: AtomicU32::new(0),
        })
    }

    fn strikes_now(&self, plan: &str) -> bool {
        let time = self.reached.fetch_add(1, Ordering::Relaxed) + 1;
        match self.when {
            When::Once => time == 1 && !has_struck(plan, self.place),
            When::Always => true,
            When::Nth(nth) => time == nth,
            When::Every(every) => time.is_multiple_of(every),
        }
    }
}

impl When {
    fn parse(text: &str) -> Result<When, String> {
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let when = match (text, text.strip_prefix("every ")) {
            ("always", _) => Some(When::Always),
            (_, Some(every)) => number(every).map(When::Every),
            (nth, None) => number(nth).map(When::Nth),
        };
        when.ok_or_else(|| format!("\"{text}\" is neither \"always\" nor a number nor \"every\" and one"))
    }
}

/// Follows this plan from now on, unless it is the one that is followed already.
pub fn set(text: &str) {
    let mut plan = PLAN.write().unwrap_or_else(PoisonError::into_inner);
    if plan.as_ref().is_some_and(|plan| plan.text == text) {
        return;
    }
    *plan = Plan::parse(text).ok();
    let armed = plan.as_ref().is_some_and(|plan| !plan.faults.is_empty());
    ARMED.store(armed, Ordering::Release);
    note(&format!("plan {} {text}", std::process::id()));
}

/// Whether the step at this place is to fail now, if the plan means this one of the steps.
pub fn strike_of(place: &str, is_meant: impl Fn(Option<&str>) -> bool) -> Option<Strike> {
    if !ARMED.load(Ordering::Acquire) {
        return None;
    }
    let plan = PLAN.read().unwrap_or_else(PoisonError::into_inner);
    let plan = plan.as_ref()?;
    let fault = plan.faults.iter().find(|fault| {
        fault.place == place && is_meant(fault.argument.as_deref()) && fault.strikes_now(&plan.text)
    })?;
    note(&format!("struck {place}"));
    Some(Strike {
        argument: fault.argument.clone(),
    })
}

/// One short write to a file that is appended to, so that lines of several processes do not mix. A test that
/// cannot see a strike fails for that.
fn note(line: &str) {
    if let Ok(mut file) = File::options().create(true).append(true).open(NOTES) {
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

/// Whether the place has struck, in any process, since this plan was set.
fn has_struck(plan: &str, place: &str) -> bool {
    let notes = std::fs::read_to_string(NOTES).unwrap_or_default();
    let (mut current, mut struck) = (false, false);
    for line in notes.lines() {
        if let Some(set) = line.strip_prefix("plan ") {
            let same = set.split_once(' ').is_some_and(|(_, text)| text == plan);
            struck &= same && current;
            current = same;
        } else {
            struck |= current && line.strip_prefix("struck ") == Some(place);
        }
    }
    struck
}
