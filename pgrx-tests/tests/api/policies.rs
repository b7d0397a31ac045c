//! Policies that no queue can have, by whatever way they come.

use postgres::Client;

use crate::database::{Database, run};
use crate::refusal::{INVALID, TAKEN, assert_all_refused, assert_refused};

/// A database with the queue "good".
#[track_caller]
pub fn database_with_queue() -> Database {
    let database = Database::new();
    let create = "select hooks.create_queue('good', 'https://example.com/')";
    run(&mut database.connect(), create);
    database
}

/// Asserts that both functions and both plain statements refuse these columns of a queue, each with its
/// value as SQL, in the same words.
#[track_caller]
pub fn assert_policy_refused(client: &mut Client, columns: &[(&str, &str)], message: &str, hint: &str) {
    let alter = format!("select hooks.alter_queue('good', {})", pairs(columns, " => "));
    assert_refused(client, &alter, INVALID, message, hint);
    assert_value_refused(client, columns, message, hint);
}

/// Asserts the same except for `alter_queue`, which takes a null for "not given".
#[track_caller]
fn assert_value_refused(client: &mut Client, columns: &[(&str, &str)], message: &str, hint: &str) {
    let update = format!(
        "update hooks.queue set {} where name = 'good'",
        pairs(columns, " = ")
    );
    let mut columns = columns.to_vec();
    for needed in [("name", "'bad'"), ("url", "'https://example.com/'")] {
        if !columns.iter().any(|(column, _)| *column == needed.0) {
            columns.push(needed);
        }
    }
    let create = format!("select hooks.create_queue({})", pairs(&columns, " => "));
    let (names, values): (Vec<&str>, Vec<&str>) = columns.into_iter().unzip();
    let (names, values) = (names.join(", "), values.join(", "));
    let insert = format!("insert into hooks.queue ({names}) values ({values})");
    assert_all_refused(client, &[update, create, insert], INVALID, message, hint);
}

fn pairs(columns: &[(&str, &str)], between: &str) -> String {
    let pair = |(column, value): &(&str, &str)| format!("{column}{between}{value}");
    columns.iter().map(pair).collect::<Vec<_>>().join(", ")
}

/// Asserts that each of these values, as SQL, is refused for a column.
#[track_caller]
pub fn assert_values_refused(column: &str, values: &[&str], message: &str, hint: &str) {
    let database = database_with_queue();
    let mut client = database.connect();
    for value in values {
        assert_policy_refused(&mut client, &[(column, value)], message, hint);
    }
}

#[test]
fn name_that_is_empty_or_endless_is_refused() {
    assert_values_refused(
        "name",
        &["''", "repeat('x', 256)", "repeat('x', 300)"],
        "queue name must have 1 to 255 characters",
        "Choose a shorter or non-empty name.",
    );
}

#[test]
fn name_of_255_characters_is_taken_as_it_is() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.create_queue(repeat('ö', 255), 'https://example.com/');
         select hooks.send(repeat('ö', 255), 'x', at => '2100-01-01')",
    );
}

#[test]
fn unknown_method_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    for method in ["BREW", "post", "HEAD", "", "POST "] {
        assert_policy_refused(
            &mut client,
            &[("method", &format!("'{method}'"))],
            &format!("method \"{method}\" is not supported"),
            "Use GET, POST, PUT, PATCH or DELETE, in upper case.",
        );
    }
}

#[test]
fn timeout_out_of_range_is_refused() {
    assert_values_refused(
        "timeout",
        &["'0'", "'0.5 s'", "'-1 s'", "'301 s'", "'300.001 s'", "'1 month'"],
        "timeout must be between 1 and 300 seconds",
        "Give an interval such as '15 seconds'.",
    );
}

#[test]
fn number_of_attempts_out_of_range_is_refused() {
    assert_values_refused(
        "max_attempts",
        &["0", "-1", "101", "2147483647"],
        "max_attempts must be between 1 and 100",
        "Use 1 for a single attempt without retries.",
    );
}

#[test]
fn number_in_flight_out_of_range_is_refused() {
    assert_values_refused(
        "max_in_flight",
        &["0", "-1", "4097"],
        "max_in_flight must be between 1 and 4096",
        "Use 1 to have one message on the wire at a time.",
    );
}

#[test]
fn impossible_accepted_status_is_refused() {
    assert_values_refused(
        "accepted_statuses",
        &[
            "'{}'",
            "'{99}'",
            "'{199}'",
            "'{600}'",
            "'{200, null}'",
            "'{-200}'",
        ],
        "accepted statuses must be between 200 and 599",
        "Give 1 to 100 statuses, or null for every 2xx.",
    );
}

#[test]
fn null_for_what_every_queue_has_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    for column in [
        "name",
        "url",
        "method",
        "timeout",
        "max_attempts",
        "max_in_flight",
        "active",
    ] {
        assert_value_refused(
            &mut client,
            &[(column, "null")],
            "id, name, url, method, timeout, max_attempts, max_in_flight and active must not be null",
            "Give name and url, and leave out what is to have its default.",
        );
    }
}

#[test]
fn taken_name_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    assert_refused(
        &mut client,
        "select hooks.create_queue('good', 'https://example.com/other')",
        TAKEN,
        "queue \"good\" already exists",
        "Change it with hooks.alter_queue(), or choose another name.",
    );
    run(
        &mut client,
        "select hooks.create_queue('other', 'https://example.com/')",
    );
    assert_refused(
        &mut client,
        "select hooks.alter_queue('other', name => 'good')",
        TAKEN,
        "queue \"good\" already exists",
        "Choose another name.",
    );
}

/// The code of a constraint, for `on conflict` and for tools that turn it into their own answer.
#[test]
fn taken_name_violates_a_constraint_for_plain_statements() {
    let database = database_with_queue();
    let mut client = database.connect();
    let insert = "insert into hooks.queue (name, url) values ('good', 'https://example.com/other')";
    let message = "duplicate key value violates unique constraint \"queue_name_is_unique\"";
    assert_refused(&mut client, insert, "23505", message, "");
    let upsert = format!("{insert} on conflict (name) do update set url = excluded.url");
    run(&mut client, &upsert);
    let url: String = crate::database::value(&mut client, "select url from hooks.queue");
    assert_eq!(url, "https://example.com/other");
}

#[test]
fn id_of_a_queue_cannot_be_changed() {
    let database = database_with_queue();
    assert_refused(
        &mut database.connect(),
        "update hooks.queue set id = id + 1",
        INVALID,
        "the id of a queue cannot be changed",
        "Make a new queue with hooks.create_queue().",
    );
}
