//! Stopping a worker where nobody waits for it.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use postgres::Client;

use super::process::{self, Signal, signal};
use crate::wait::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);

/// Whoever has not heard by then waits for what the stopped process holds.
const HEARD: Duration = Duration::from_secs(2);

/// A process that stands still until this is dropped.
pub struct Stopped(i32);

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

/// Stops a worker that sleeps: one that is stopped elsewhere may hold what all others wait for.
///
/// # Panics
/// When it does not come to rest.
#[track_caller]
pub fn stop_at_rest(client: &mut Client, pid: i32) -> Stopped {
    wait_until("the worker to come to rest", DEADLINE, || {
        if !is_at_rest(client, pid) {
            return Err("it works");
        }
        if !signal(pid, Signal::STOP) {
            return Err("it is gone");
        }
        let stopped = Stopped(pid);
        wait_until("the worker to stand still", DEADLINE, || {
            process::state(pid) == Some(process::STOPPED)
        });
        // It may have woken before it was stopped. Who waits for a lock of the server cannot be cancelled.
        thread::scope(|scope| {
            let (tell, told) = channel();
            let witness = &mut *client;
            scope.spawn(move || tell.send(is_at_rest(witness, pid)));
            match told.recv_timeout(HEARD) {
                Ok(true) => Ok(stopped),
                _ => {
                    drop(stopped);
                    Err("it woke up")
                }
            }
        })
    })
}

fn is_at_rest(client: &mut Client, pid: i32) -> bool {
    let query = "select state = 'idle' and wait_event is not distinct from 'Extension'
                 from pg_catalog.pg_stat_activity where pid = $1";
    let row = client
        .query_opt(query, &[&pid])
        .expect("could not look at a worker");
    row.is_some_and(|row| row.get(0))
}
