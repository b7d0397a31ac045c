//! What a caller can do wrong, and the one mapping to SQLSTATE, message and hint.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

/// A mistake of the caller. A function that finds one raises it at once; nothing was stored.
#[derive(Debug)]
pub enum Error {
    /// An argument that no queue or message can have.
    InvalidArgument { message: String, hint: String },
    /// No queue of that name.
    UnknownQueue(String),
    /// No queue of that id.
    UnknownQueueId(i64),
    /// `hooks.check_message()` was called as something else than the trigger it is.
    NotItsTrigger,
}

impl Error {
    /// An invalid argument with what to do about it.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::InvalidArgument {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Raises the error in PostgreSQL; does not return.
    pub fn raise(self) -> ! {
        let (code, message, hint) = match self {
            Error::InvalidArgument { message, hint } => {
                (PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, hint)
            }
            Error::UnknownQueue(name) => (
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("queue \"{name}\" does not exist"),
                "Create it with hooks.create_queue().".to_owned(),
            ),
            Error::UnknownQueueId(id) => (
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("queue with id {id} does not exist"),
                "Look for its id in hooks.queue.".to_owned(),
            ),
            Error::NotItsTrigger => (
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "hooks.check_message() can only be the trigger of hooks.message".to_owned(),
                "Store messages with hooks.send() or INSERT INTO hooks.message.".to_owned(),
            ),
        };
        ErrorReport::new(code, message, function_name!())
            .set_hint(hint)
            .report(PgLogLevel::ERROR);
        unreachable!("an error report of level ERROR does not return")
    }
}

/// Unwraps the value or raises the error.
pub trait OrRaise<T> {
    /// The value, or the error raised in PostgreSQL.
    fn or_raise(self) -> T;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => error.raise(),
        }
    }
}
