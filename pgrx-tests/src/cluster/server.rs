//! The server process: start, stop, crash, reload, and its log.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Cluster, Signal, process, settings, signal};
use crate::wait::{try_wait, wait_until};
use crate::{Failure, Result, account};

/// Long enough for a machine under load; a test that cares measures.
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const LOG_LINES_SHOWN: usize = 60;

/// How a server is asked to stop. PostgreSQL, "Shutting Down the Server".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for the clients to leave.
    Smart,
    /// Rolls their transactions back.
    Fast,
    /// Stops without a checkpoint; the next start recovers.
    Immediate,
}

/// The postmaster, while it runs.
#[derive(Default)]
pub struct Server {
    postmaster: Option<Child>,
}

impl Cluster {
    /// Starts the server, which must not be running, and waits until it takes connections.
    ///
    /// After a crash, PostgreSQL refuses to start while processes of the old server live: that is retried.
    pub fn start(&self) -> Result<()> {
        settings::write(&self.settings.lock().expect("poisoned"), &self.data())?;
        let mut server = self.server.lock().expect("poisoned");
        assert!(server.postmaster.is_none(), "the server is running");
        let begun = Instant::now();
        let mut postmaster = self.spawn()?;
        while let Err(error) = self.try_connect("postgres", "postgres") {
            if begun.elapsed() > START_DEADLINE {
                signal(pid(&postmaster), Signal::QUIT);
                return Err(self.start_failure(error));
            }
            if let Some(status) = ended(&mut postmaster) {
                if !self.log_end().contains(OLD_SERVER_LIVES) {
                    return Err(self.start_failure(status));
                }
                postmaster = self.spawn()?;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        server.postmaster = Some(postmaster);
        Ok(())
    }

    /// In a process group of its own: Ctrl-C is for us, who then stop it in good order.
    fn spawn(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.map_err(|error| Failure::because("could not open the server's log", error))?;
        let errors = log
            .try_clone()
            .map_err(|error| Failure::because("could not open the server's log", error))?;
        let mut postgres = Command::new(self.tree.program("postgres"));
        // A server started by its operating system knows nothing of it either.
        postgres.env_remove("RUST_BACKTRACE");
        postgres
            .arg("-D")
            .arg(self.data())
            .current_dir(&self.folder)
            .process_group(0);
        postgres.envs(self.environment.iter().map(|(name, value)| (name, value)));
        postgres.stdin(Stdio::null()).stdout(log).stderr(errors);
        account::unprivileged(&mut postgres)
            .spawn()
            .map_err(|error| Failure::because("could not start the server", error))
    }

    fn start_failure(&self, cause: impl std::fmt::Display) -> Failure {
        Failure::new(format!("the server did not start ({cause}):\n{}", self.log_end()))
    }

    /// Stops the server and tells how long that took.
    ///
    /// # Panics
    /// When it is not running, or still is after a minute.
    #[track_caller]
    pub fn stop(&self, mode: StopMode) -> Duration {
        self.end_with(match mode {
            StopMode::Smart => Signal::TERM,
            StopMode::Fast => Signal::INT,
            StopMode::Immediate => Signal::QUIT,
        })
    }

    /// Stops the server in fast mode and starts it again.
    #[track_caller]
    pub fn restart(&self) {
        self.stop(StopMode::Fast);
        self.start().unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Kills the postmaster; its children notice on their own. [`Cluster::start`] brings the server back.
    #[track_caller]
    pub fn kill9_postmaster(&self) {
        self.end_with(Signal::KILL);
    }

    #[track_caller]
    fn end_with(&self, how: Signal) -> Duration {
        let mut server = self.server.lock().expect("poisoned");
        let mut postmaster = server.postmaster.take().expect("the server is not running");
        let begun = Instant::now();
        signal(pid(&postmaster), how);
        wait_until("the server to stop", STOP_DEADLINE, || ended(&mut postmaster));
        begun.elapsed()
    }

    /// Changes settings and has the server read them. Returns when all processes are told; they follow soon.
    #[track_caller]
    pub fn reload(&self, changes: &[(&str, &str)]) {
        let mut settings = self.settings.lock().expect("poisoned");
        settings.extend(
            changes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        settings::write(&settings, &self.data()).unwrap_or_else(|failure| panic!("{failure}"));
        let mut client = self.connect("postgres");
        let loaded = "select pg_catalog.pg_conf_load_time()";
        let before: std::time::SystemTime = client.query_one(loaded, &[]).expect("no load time").get(0);
        client
            .batch_execute("select pg_catalog.pg_reload_conf()")
            .expect("could not reload");
        wait_until("the settings to be read", STOP_DEADLINE, || {
            let now: std::time::SystemTime = client.query_one(loaded, &[]).expect("no load time").get(0);
            // Not later: clocks go back.
            now != before
        });
        // That session may be the first that was told. Nobody is let in before all have been.
        drop(self.connect("postgres"));
    }

    /// Process id of the postmaster.
    ///
    /// # Panics
    /// When it is not running.
    #[track_caller]
    pub fn postmaster_pid(&self) -> i32 {
        pid(self
            .server
            .lock()
            .expect("poisoned")
            .postmaster
            .as_ref()
            .expect("the server is not running"))
    }

    /// Every process of the server, workers and orphans included.
    pub fn pids(&self) -> Vec<i32> {
        process::working_in(&self.data())
    }

    /// Everything that the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    pub(super) fn show_log(&self) {
        eprintln!("--- end of the server's log\n{}\n---", self.log_end());
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    /// Stops whatever still runs here and removes the folder.
    pub(super) fn remove(&mut self) {
        let server = self
            .server
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(mut postmaster) = server.postmaster.take() {
            signal(pid(&postmaster), Signal::QUIT);
            let _ = try_wait(STOP_DEADLINE, || ended(&mut postmaster));
        }
        for left in self.pids() {
            signal(left, Signal::KILL);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// PostgreSQL's complaint after a crash, until the last old process is gone.
const OLD_SERVER_LIVES: &str = "pre-existing shared memory block";

fn ended(postmaster: &mut Child) -> Option<ExitStatus> {
    postmaster.try_wait().expect("could not wait for the server")
}

fn pid(postmaster: &Child) -> i32 {
    i32::try_from(postmaster.id()).expect("a process id")
}
