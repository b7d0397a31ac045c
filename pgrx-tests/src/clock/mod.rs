//! A clock that a test sets: that of a server and of all its processes, and of nobody else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cluster::Builder;
use crate::{Failure, Result, command, scratch};

/// The time of day of servers that are started with it. Other clocks, and so timeouts, go on as they are.
///
/// A library is put before the one of C by `LD_PRELOAD`, and all processes read the same file in memory. libfaketime
/// will not do: while a process waits in select(2) it does not fake, and what PostgreSQL forks meanwhile never does.
pub struct Clock {
    path: PathBuf,
    file: File,
    library: PathBuf,
    shifts: Mutex<Shifts>,
}

impl Clock {
    /// One that is right. It takes a C compiler, as building the extension does.
    ///
    /// # Errors
    /// When the library cannot be built.
    pub fn start() -> Result<Clock> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock/shift.c");
        let folder = scratch::folder();
        let (library, path) = (folder.join("shift.so"), folder.join("clock"));
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]);
        command::run(compile.arg(&library).args([source, "-ldl"]))?;
        let file = File::create(&path).map_err(|error| Failure::because("could not make a clock", error))?;
        let clock = Clock {
            path,
            file,
            library,
            shifts: Mutex::default(),
        };
        clock.turn(0)?;
        Ok(clock)
    }

    /// For `LD_PRELOAD`.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Tells servers where to look, which must be given the library as well.
    pub fn told_to(&self, builder: Builder) -> Builder {
        builder.environment("TEST_CLOCK", &self.path.display().to_string())
    }

    /// Has servers go by this clock.
    pub fn given_to(&self, builder: Builder) -> Builder {
        let library = self.library.display().to_string();
        self.told_to(builder.environment("LD_PRELOAD", &library))
    }

    /// Puts it forth or back, by so many seconds more.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn turn(&self, seconds: i64) -> Result<()> {
        let mut shifts = self.shifts.lock().expect("poisoned");
        let shift = shifts.last() + seconds * 1_000_000;
        shifts.0.push((now_us(), shift));
        let written = self.file.write_all_at(&shift.to_ne_bytes(), 0);
        written.map_err(|error| Failure::because("could not turn the clock", error))
    }

    /// How far it was off, and when.
    pub fn shifts(&self) -> Shifts {
        self.shifts.lock().expect("poisoned").clone()
    }
}

/// How far a clock was off from which time on, in microseconds, in their order.
#[derive(Clone, Debug, Default)]
pub struct Shifts(pub Vec<(i64, i64)>);

impl Shifts {
    fn last(&self) -> i64 {
        self.0.last().map_or(0, |(_, shift)| *shift)
    }

    /// The least and the most that it was off from `from_us` to `to_us`.
    pub fn between(&self, from_us: i64, to_us: i64) -> (i64, i64) {
        let before = self.0.iter().rfind(|(at, _)| *at <= from_us);
        let within = self.0.iter().filter(|(at, _)| (from_us..=to_us).contains(at));
        let shifts = before.into_iter().chain(within).map(|(_, shift)| *shift);
        let (least, most) = (shifts.clone().min(), shifts.max());
        (least.unwrap_or(0), most.unwrap_or(0))
    }

    /// What the clock showed just before it was put forth, and just after.
    pub fn leaps(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let pairs = self.0.windows(2).filter(|pair| pair[0].1 < pair[1].1);
        pairs.map(|pair| (pair[1].0 + pair[0].1, pair[1].0 + pair[1].1))
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Shifts;

    #[test]
    fn shifts_tell_how_far_the_clock_was_off() {
        let shifts = Shifts(vec![(10, 0), (20, 500), (30, -100)]);
        assert_eq!(shifts.between(12, 15), (0, 0));
        assert_eq!(shifts.between(15, 25), (0, 500));
        assert_eq!(shifts.between(25, 35), (-100, 500));
        assert_eq!(shifts.between(35, 99), (-100, -100));
        assert_eq!(Shifts::default().between(1, 2), (0, 0));
        assert_eq!(shifts.leaps().collect::<Vec<_>>(), [(20, 520)]);
    }
}
