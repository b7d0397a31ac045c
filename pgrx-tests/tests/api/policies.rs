//! Policies that no queue can have, by whatever way they come.

use postgres::Client;

use crate::database::{Database, run};
use crate::refusal::{INVALID, TAKEN, assert_all_refused, assert_refused};

/// A database with the queue "good".
#[track_caller]
pub fn database_with_queue() -> Database {
    let database = Database::new();
    let mut client = database.connect();
    run(&mut client, "select hooks.create_queue('good', 'https://example.com/')");
    database
}

/// Asserts that both functions and both plain statements refuse these columns of a queue, each with its
/// value as SQL, in the same words.
#[track_caller]
pub fn assert_policy_refused(client: &mut Client, columns: &[(&str, &str)], message: &str, hint: &str) {
    let (name, list) = change_of(columns);
    let alter = format!("select hooks.alter_queue('good', {list})", list = list.replace(" = ", " => "));
    let update = format!("update hooks.queue set {list} where name = 'good'");
    assert_all_refused(client, &[alter, update], INVALID, message, hint);
    assert_new_refused(client, columns, name, message, hint);
}

/// As [`assert_policy_refused`], for values that `alter_queue` takes for "not given".
#[track_caller]
fn assert_missing_refused(client: &mut Client, columns: &[(&str, &str)], message: &str, hint: &str) {
    let (name, list) = change_of(columns);
    let update = format!("update hooks.queue set {list} where name = 'good'");
    assert_refused(client, &update, INVALID, message, hint);
    assert_new_refused(client, columns, name, message, hint);
}

#[track_caller]
fn assert_new_refused(
    client: &mut Client,
    columns: &[(&str, &str)],
    name: &str,
    message: &str,
    hint: &str,
) {
    let mut columns = columns.to_vec();
    for needed in [("name", name), ("url", "'https://example.com/'")] {
        if !columns.iter().any(|(column, _)| *column == needed.0) {
            columns.push(needed);
        }
    }
    let arguments: Vec<String> = columns.iter().map(|(column, value)| format!("{column} => {value}")).collect();
    let (names, values): (Vec<&str>, Vec<&str>) = columns.into_iter().unzip();
    let create = format!("select hooks.create_queue({})", arguments.join(", "));
    let insert = format!(
        "insert into hooks.queue ({}) values ({})",
        names.join(", "),
        values.join(", ")
    );
    assert_all_refused(client, &[create, insert], INVALID, message, hint);
}

fn change_of(columns: &[(&str, &str)]) -> (&'static str, String) {
    let list: Vec<String> = columns.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    ("'bad'", list.join(", "))
}
