//! Ends a program of tests that hangs, and says what its servers were doing.
//!
//! The test that hangs has often failed already and waits for one of its own threads. What the runner keeps of its
//! output is lost with the program, so each panic is told at once as well.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{self, PanicHookInfo};
use std::path::Path;
use std::thread;
use std::time::Duration;

use postgres::{Config, NoTls, SimpleQueryMessage};

use crate::wait::try_wait;

/// Variable of the environment: seconds that a program which starts servers may take. Without it there is no end.
pub const LIMIT: &str = "PG_HOOKS_TEST_SECONDS";

/// Exit status of a program that was ended, as timeout(1) has it.
const ENDED: i32 = 124;
/// A server that answers at all has told everything by then.
const TO_TELL: Duration = Duration::from_secs(10);
const LINES_OF_LOG: usize = 40;

const QUESTIONS: [&str; 2] = [
    "select pid, backend_type, datname, state, wait_event, now() - query_start as since,
            pg_blocking_pids(pid) as blocked_by, left(query, 200) as query
     from pg_stat_activity where pid <> pg_backend_pid()",
    "select gid, database, now() - prepared as since from pg_prepared_xacts",
];

/// Watches this process, whose servers have their folders in `base`.
pub(crate) fn watch(base: &Path) {
    let limit = std::env::var(LIMIT).ok().and_then(|seconds| seconds.parse().ok());
    let Some(limit) = limit.map(Duration::from_secs) else {
        return;
    };
    if !thread::panicking() {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            tell_of_panic(panic);
            usual(panic);
        }));
    }
    let base = base.to_owned();
    thread::spawn(move || {
        thread::sleep(limit);
        say(&format!("still running after {limit:?}"));
        tell_of_all(&base);
        std::process::exit(ENDED);
    });
}

fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("a thread without a name");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message");
    say(&format!("{name} panicked at {place}: {message}"));
}

/// Past whatever takes the output of a test.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Asks all servers at the same time: one that hangs as well keeps neither us nor the others.
fn tell_of_all(base: &Path) {
    let folders = std::fs::read_dir(base).into_iter().flatten().flatten();
    let servers = folders
        .map(|entry| entry.path())
        .filter(|folder| folder.join("data/postmaster.pid").exists());
    let telling: Vec<_> = servers
        .map(|folder| thread::spawn(move || tell_of(&folder)))
        .collect();
    let _ = try_wait(TO_TELL, || telling.iter().all(thread::JoinHandle::is_finished));
}

fn tell_of(folder: &Path) {
    let folder_name = folder.display();
    let log = std::fs::read(folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let last = lines.len().saturating_sub(LINES_OF_LOG);
    say(&format!(
        "\nserver in {folder_name}, the end of its log:\n{}",
        lines[last..].join("\n")
    ));
    let told = ask(folder).unwrap_or_else(|error| format!("does not say: {error:?}"));
    say(&format!("\nserver in {folder_name}, what it does:\n{told}"));
}

fn ask(folder: &Path) -> Result<String, postgres::Error> {
    let sockets = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let port = sockets
        .filter_map(|entry| entry.path().extension()?.to_str()?.parse().ok())
        .next();
    let mut config = Config::new();
    config
        .host_path(folder)
        .port(port.unwrap_or_default())
        .user("postgres")
        .dbname("postgres")
        .connect_timeout(TO_TELL / 4);
    let mut client = config.connect(NoTls)?;
    let mut told = String::new();
    for question in QUESTIONS {
        for message in client.simple_query(question)? {
            if let SimpleQueryMessage::Row(row) = message {
                let columns = row.columns().iter().zip(0..);
                let fields = columns
                    .map(|(column, place)| format!("{} {}", column.name(), row.get(place).unwrap_or("-")));
                let _ = writeln!(told, "{}", fields.collect::<Vec<_>>().join(", "));
            }
        }
    }
    Ok(told)
}
