//! Errors as a client sees them.

use std::fmt::Display;

use postgres::Client;

use crate::database::value;

/// SQLSTATE of a bad argument.
pub const INVALID: &str = "22023";
/// SQLSTATE for what does not exist.
pub const UNKNOWN: &str = "42704";
/// SQLSTATE for a name that is taken.
pub const TAKEN: &str = "42710";
/// SQLSTATE for what is still needed.
pub const IN_USE: &str = "2BP01";
/// SQLSTATE for what one may not do.
pub const DENIED: &str = "42501";

/// The parts of an error that tell what is wrong and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub hint: String,
}

impl Refusal {
    pub fn new(code: &str, message: impl Display, hint: impl Display) -> Refusal {
        Refusal {
            code: code.to_owned(),
            message: message.to_string(),
            hint: hint.to_string(),
        }
    }
}

/// Runs statements that must fail, and gives the error. Nothing of ours may have changed by them.
#[track_caller]
pub fn refusal(client: &mut Client, statements: &str) -> Refusal {
    let before = stored(client);
    let Err(error) = client.batch_execute(statements) else {
        panic!("not refused: {statements}");
    };
    let Some(error) = error.as_db_error() else {
        panic!("{statements}: {error:?}");
    };
    assert_eq!(stored(client), before, "{statements}");
    Refusal::new(
        error.code().code(),
        error.message(),
        error.hint().unwrap_or_default(),
    )
}

/// Asserts that statements fail with exactly this, and store nothing.
#[track_caller]
pub fn assert_refused(client: &mut Client, statements: &str, code: &str, message: &str, hint: &str) {
    let refused = refusal(client, statements);
    assert_eq!(refused, Refusal::new(code, message, hint), "{statements}");
}

/// Asserts that each of these statements fails with exactly this, and stores nothing.
#[track_caller]
pub fn assert_all_refused(
    client: &mut Client,
    statements: &[impl AsRef<str>],
    code: &str,
    message: &str,
    hint: &str,
) {
    for statement in statements {
        assert_refused(client, statement.as_ref(), code, message, hint);
    }
}

/// Everything in our tables.
fn stored(client: &mut Client) -> String {
    value(
        client,
        "select concat_ws(e'\\n',
           (select string_agg(q::text, e'\\n' order by q.id) from hooks.queue as q),
           (select string_agg(m::text, e'\\n' order by m.id) from hooks.message as m),
           (select string_agg(d::text, e'\\n' order by d.id) from hooks.dead_letter as d),
           (select string_agg(l::text, e'\\n' order by l.id) from hooks.message_log as l))",
    )
}
