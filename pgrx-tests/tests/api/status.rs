//! What became of a message, and changing it.

use pg_hooks_tests::{Behaviour, Receiver, wait_until};
use postgres::Client;

use crate::database::{Database, SOON, column, run, value};
use crate::policies::database_with_queue;
use crate::refusal::{UNKNOWN, assert_refused};

/// State, attempts, last status and last error of a message, as `hooks.status` gives them.
type Status = (String, i32, Option<i16>, Option<String>);

#[track_caller]
fn status(client: &mut Client, id: i64) -> Status {
    let row = client
        .query_one("select * from hooks.status($1)", &[&id])
        .unwrap();
    assert_eq!(row.get::<_, i64>("id"), id);
    assert_eq!(row.get::<_, Option<&str>>("queue"), Some("good"));
    let state: String = row.get("state");
    let finished: Option<std::time::SystemTime> = row.get("finished_at");
    let live = ["scheduled", "pending", "retrying"].contains(&state.as_str());
    assert_eq!(finished.is_none(), live, "{state}");
    (
        state,
        row.get("attempts"),
        row.get("last_status"),
        row.get("last_error"),
    )
}

#[track_caller]
fn wait_for_state(client: &mut Client, id: i64, state: &str) -> Status {
    wait_until(format_args!("message {id} to be {state}"), SOON, || {
        let status = status(client, id);
        if status.0 == state {
            Ok(status)
        } else {
            Err(format!("{status:?}"))
        }
    })
}

/// A database whose queue "good" sends to `/` of the receiver, with this policy.
fn delivering_to(receiver: &Receiver, policy: &str) -> Database {
    let database = Database::new();
    let create = format!(
        "select hooks.create_queue('good', '{}', {policy})",
        receiver.url("/")
    );
    run(&mut database.connect(), &create);
    database
}

const SEND: &str = "select hooks.send('good', 'x')";

#[test]
fn message_for_later_is_scheduled() {
    let database = database_with_queue();
    let mut client = database.connect();
    let id = value(&mut client, "select hooks.send('good', 'x', at => '2100-01-01')");
    assert_eq!(status(&mut client, id), ("scheduled".to_owned(), 0, None, None));
}

#[test]
fn message_that_is_due_is_pending() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(&mut client, "select hooks.pause('good')");
    let id = value(&mut client, SEND);
    assert_eq!(status(&mut client, id), ("pending".to_owned(), 0, None, None));
}

#[test]
fn accepted_message_is_delivered() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::status(202));
    let database = delivering_to(&receiver, "max_attempts => 3");
    let mut client = database.connect();
    let id = value(&mut client, SEND);
    let expected = ("delivered".to_owned(), 1, Some(202), None);
    assert_eq!(wait_for_state(&mut client, id, "delivered"), expected);
}

#[test]
fn refused_message_is_retrying() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::status(503));
    let database = delivering_to(&receiver, "retry_schedule => '{1 day}'");
    let mut client = database.connect();
    let id = value(&mut client, SEND);
    let (_, attempts, last_status, last_error) = wait_for_state(&mut client, id, "retrying");
    assert_eq!((attempts, last_status), (1, Some(503)));
    assert!(last_error.is_some());
    let due: bool = value(
        &mut client,
        &format!("select due_at > now() + interval '19 hours' from hooks.status({id})"),
    );
    assert!(due);
}

#[test]
fn exhausted_message_is_dead_and_comes_to_life_when_redriven() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::failing(2, 503));
    let database = delivering_to(&receiver, "max_attempts => 2, retry_schedule => '{0}'");
    let mut client = database.connect();
    let id = value(&mut client, SEND);
    let (_, attempts, last_status, last_error) = wait_for_state(&mut client, id, "dead");
    assert_eq!((attempts, last_status), (2, Some(503)));
    assert!(last_error.is_some());
    let redrive = format!("select hooks.redrive({id})");
    assert_eq!(value::<i64>(&mut client, &redrive), 1);
    let (_, attempts, last_status, _) = wait_for_state(&mut client, id, "delivered");
    assert_eq!((attempts, last_status), (3, Some(200)));
    assert_eq!(
        value::<i64>(&mut client, &redrive),
        0,
        "it is no dead letter any more"
    );
}

#[test]
fn redriven_message_begins_with_a_fresh_budget() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::status(503));
    let database = delivering_to(&receiver, "max_attempts => 1");
    let mut client = database.connect();
    let id = value(&mut client, SEND);
    wait_for_state(&mut client, id, "dead");
    run(&mut client, "select hooks.pause('good')");
    let redrive = format!("select hooks.redrive({id})");
    assert_eq!(value::<i64>(&mut client, &redrive), 1);
    let (state, attempts, last_status, _) = status(&mut client, id);
    assert_eq!((state.as_str(), attempts, last_status), ("pending", 1, Some(503)));
    run(&mut client, "select hooks.resume('good')");
    let (_, attempts, _, _) = wait_for_state(&mut client, id, "dead");
    assert_eq!(attempts, 2);
}

#[test]
fn dead_letter_of_a_dropped_queue_is_not_redriven() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::status(503));
    let database = delivering_to(&receiver, "max_attempts => 1");
    let mut client = database.connect();
    let id: i64 = value(&mut client, SEND);
    let queue_id: i64 = value(&mut client, "select id from hooks.queue");
    wait_for_state(&mut client, id, "dead");
    run(&mut client, "select hooks.drop_queue('good')");
    assert_refused(
        &mut client,
        &format!("select hooks.redrive({id})"),
        UNKNOWN,
        &format!("queue with id {queue_id} does not exist"),
        "Look for its id in hooks.queue.",
    );
}

#[test]
fn cancelled_message_is_never_sent() {
    let receiver = Receiver::start();
    let database = delivering_to(&receiver, "active => false");
    let mut client = database.connect();
    let id: i64 = value(&mut client, SEND);
    run(&mut client, "select hooks.send('good', 'sent')");
    let cancel = format!("select hooks.cancel({id})");
    assert!(value::<bool>(&mut client, &cancel));
    assert_eq!(status(&mut client, id), ("cancelled".to_owned(), 0, None, None));
    assert!(!value::<bool>(&mut client, &cancel), "it is cancelled already");
    run(&mut client, "select hooks.resume('good')");
    assert_eq!(receiver.wait_for("/", 1, SOON)[0].text(), "sent");
    let states: Vec<String> = column(
        &mut client,
        "select state from hooks.message_log where state = 'cancelled'",
    );
    assert_eq!(states.len(), 1);
}

#[test]
fn finished_message_is_not_cancelled() {
    let receiver = Receiver::start();
    let database = delivering_to(&receiver, "max_attempts => 1");
    let mut client = database.connect();
    let id: i64 = value(&mut client, SEND);
    wait_for_state(&mut client, id, "delivered");
    assert!(!value::<bool>(&mut client, &format!("select hooks.cancel({id})")));
    assert_eq!(status(&mut client, id).0, "delivered");
}

#[test]
fn unknown_id_has_no_status_and_changes_nothing() {
    let database = database_with_queue();
    let mut client = database.connect();
    for id in ["0", "-1", "4711", "9223372036854775807", "null"] {
        let rows: i64 = value(&mut client, &format!("select count(*) from hooks.status({id})"));
        assert_eq!(rows, 0, "{id}");
        let cancelled: bool = value(&mut client, &format!("select hooks.cancel({id})"));
        assert!(!cancelled, "{id}");
    }
    for id in ["0", "-1", "4711", "9223372036854775807"] {
        let redriven: i64 = value(&mut client, &format!("select hooks.redrive({id})"));
        assert_eq!(redriven, 0, "{id}");
    }
}

/// What is rolled back was never cancelled.
#[test]
fn rolled_back_cancel_leaves_the_message_as_it_was() {
    let database = database_with_queue();
    let mut client = database.connect();
    let id: i64 = value(&mut client, "select hooks.send('good', 'x', at => '2100-01-01')");
    run(
        &mut client,
        &format!("begin; select hooks.cancel({id}); rollback"),
    );
    assert_eq!(status(&mut client, id).0, "scheduled");
}
