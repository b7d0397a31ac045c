//! Lines of the server's log.

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

#[track_caller]
fn wait_for_line(line: &str) {
    wait_until(format_args!("\"{line}\" in the log"), SOON, || {
        Cluster::shared().log().contains(line)
    });
}

#[test]
fn lines_of_the_worker_begin_with_their_ids() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(410));
    let queue = site.queue("q", ", max_attempts => 1");
    site.wait_until("select exists (select from hooks.worker where leader)");
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    // Other databases share the log.
    let own = format!("[{leader}] pg_hooks worker : LOG:  ");
    wait_for_line(&format!("{own}[PGH101] pg_hooks worker leads in this database"));
    let message: i64 = site.value("select hooks.send('q', 'x')");
    wait_for_line(&format!(
        "{own}[PGH301] message {message} of queue {queue} became a dead letter"
    ));
    wait_for_line(&format!(
        "{own}[PGH305] queue {queue} was disabled: its receiver answered 410 Gone"
    ));
}
