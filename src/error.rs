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
    /// `hooks.emit()` was called as something else than an AFTER trigger.
    NotAnEmitTrigger,
    /// A trigger names a column that its table does not have.
    UnknownColumn { column: String, option: &'static str },
    /// A subscription or queue names a function that is not there, or not of the right type.
    UnknownTransform(String),
    /// A subscription or queue names a function whose owner may not have the caller run it.
    UntrustedTransform {
        transform: String,
        caller: String,
        owner: String,
    },
    /// The caller may not do this.
    Denied { message: String, hint: String },
    /// Secrets cannot be encrypted, decrypted or made as the server is configured.
    Vault(String),
    /// No message of that id waits.
    UnknownMessage(i64),
    /// It cannot be done as things are now.
    NotReady { message: String, hint: String },
    /// The queue of that name holds as much as it may.
    QueueFull(String),
    /// There is no memory for so many bytes.
    OutOfMemory(usize),
    /// What can be asked for and is not there.
    NotSupported { message: String, hint: String },
    /// What says which trigger is made wrongly, and what is wrong with it.
    InTrigger { trigger: String, error: Box<Error> },
}

impl Error {
    /// An invalid argument with what to do about it.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::InvalidArgument {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// That it cannot be done now, with what to do about it.
    pub fn not_ready(message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::NotReady {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Raises the error in PostgreSQL; does not return.
    pub fn raise(self) -> ! {
        let (error, detail) = match self {
            Error::InTrigger { trigger, error } => (*error, Some(trigger)),
            error => (error, None),
        };
        let (code, message, hint) = error.parts();
        let mut report = ErrorReport::new(code, message, function_name!()).set_hint(hint);
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an error report of level ERROR does not return")
    }

    /// SQLSTATE, message and hint.
    pub fn parts(self) -> (PgSqlErrorCode, String, String) {
        match self {
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
            Error::UnknownMessage(id) => (
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("no message {id} waits"),
                "It is finished, or never was: see hooks.status().".to_owned(),
            ),
            Error::NotReady { message, hint } => (
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                message,
                hint,
            ),
            Error::NotItsTrigger => (
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "hooks.check_message() can only be the trigger of hooks.message".to_owned(),
                "Store messages with hooks.send() or INSERT INTO hooks.message.".to_owned(),
            ),
            Error::NotAnEmitTrigger => (
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "hooks.emit() can only be an AFTER trigger".to_owned(),
                "Create the trigger with AFTER, or let hooks.watch() do it.".to_owned(),
            ),
            Error::UnknownColumn { column, option } => (
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\" does not exist"),
                format!(
                    "Option {option} of the trigger names it: create the trigger again with the columns that there are."
                ),
            ),
            Error::UnknownTransform(transform) => (
                PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
                format!("transform {transform}(jsonb, jsonb) does not exist"),
                "Create it, or name another one with hooks.alter_subscription() or hooks.alter_queue()."
                    .to_owned(),
            ),
            Error::UntrustedTransform {
                transform,
                caller,
                owner,
            } => (
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!(
                    "transform {transform} is not run: \"{caller}\" does not trust its owner \"{owner}\""
                ),
                "Have it owned by the role that sends or publishes, or by a superuser.".to_owned(),
            ),
            Error::Denied { message, hint } => {
                (PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, message, hint)
            }
            Error::Vault(problem) => (
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                problem,
                "Correct the file that hooks.secret_key_file names.".to_owned(),
            ),
            Error::QueueFull(name) => (
                PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                format!("queue \"{name}\" is full"),
                "Try again when messages are delivered, raise max_messages or max_bytes with hooks.alter_queue(), \
                 or have it drop the oldest with overflow => 'drop_oldest'."
                    .to_owned(),
            ),
            Error::OutOfMemory(bytes) => (
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                format!("out of memory: no {bytes} bytes"),
                "Send less at once, or give the server more memory.".to_owned(),
            ),
            Error::NotSupported { message, hint } => {
                (PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message, hint)
            }
            Error::InTrigger { error, .. } => error.parts(),
        }
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
