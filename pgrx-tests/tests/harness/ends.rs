//! Programs that hang are ended, say why, and leave nothing.

use std::io::{Write, stderr};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::meanwhile::StopAtEnd;
use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Cluster, command, limit, wait_until, watchdog};

const SOON: Duration = Duration::from_secs(30);

/// Seconds that a program needs to start two servers.
const STARTED: &str = "60";

/// Runs a test of this program that is ignored otherwise, in a program of its own.
fn run_alone(test: &str) -> Output {
    let mut program = Command::new("timeout");
    program.args(["--kill-after=5", "120"]);
    program.arg(std::env::current_exe().unwrap());
    program.args(["--ignored", "--exact", test]);
    program.env(watchdog::LIMIT, STARTED).output().unwrap()
}

#[test]
#[ignore = "hangs; another test runs it"]
fn hangs_after_a_panic() {
    let plain = || Cluster::builder().without_preload().start_plain().unwrap();
    let (stopped, _well) = (plain(), plain());
    let (pid, folder) = (stopped.postmaster_pid(), stopped.socket_folder());
    writeln!(stderr(), "stopped: {pid} {}", folder.display()).unwrap();
    assert!(signal(pid, Signal::STOP));
    let never = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !never.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
        });
        panic!("this is the reason");
    });
}

#[test]
fn program_that_hangs_tells_of_panics_and_servers_and_leaves_none() {
    let output = run_alone("ends::hangs_after_a_panic");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(124), "{told}");
    let reason = "ends::hangs_after_a_panic panicked at ";
    assert!(
        told.lines()
            .any(|line| line.starts_with(reason) && line.ends_with(": this is the reason")),
        "{told}"
    );
    assert_eq!(told.matches("the end of its log:").count(), 2, "{told}");
    assert!(
        told.contains("backend_type checkpointer"),
        "of that which answers: {told}"
    );
    let stopped = told.lines().find_map(|line| line.strip_prefix("stopped: "));
    let (pid, folder) = stopped.unwrap().split_once(' ').unwrap();
    wait_until("the stopped server to end, and its folder", SOON, || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")) && !Path::new(folder).exists()
    });
}

#[test]
#[ignore = "ends all that its program has started; another test runs it"]
fn takes_too_long() {
    let (ended, in_time) = limit::within(Duration::from_millis(300), || {
        command::run(Command::new("sh").args(["-c", "sleep 600 & sleep 600"]))
    });
    assert!(ended.is_err() && !in_time);
    let (ended, in_time) = limit::within(Duration::from_millis(300), || {
        command::run(Command::new("sh").args(["-c", "trap '' TERM; while :; do sleep 600; done"]))
    });
    assert!(ended.is_err() && !in_time);
    let (ended, in_time) = limit::within(SOON, || command::run(&mut Command::new("true")));
    assert!(ended.is_ok() && in_time);
}

#[test]
fn what_takes_too_long_is_ended_with_all_that_it_started_also_if_it_does_not_want_to() {
    let output = run_alone("ends::takes_too_long");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn thread_ends_with_a_closure_that_panics() {
    let (over, told) = (AtomicBool::new(false), AtomicBool::new(false));
    let panic = std::panic::catch_unwind(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let seen = try_wait(SOON, || over.load(Ordering::Relaxed));
                told.store(seen.is_ok(), Ordering::Relaxed);
            });
            let _working = StopAtEnd(&over);
            panic!("it fails");
        });
    });
    assert!(panic.is_err());
    assert!(told.load(Ordering::Relaxed), "it waited to its own end");
}
