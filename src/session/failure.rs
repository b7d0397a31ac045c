//! Why a transaction of the worker failed, and whether the rows are to blame.

use std::fmt;
use std::panic::panic_any;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::spi::SpiError;
use pgrx::{PgSqlErrorCode, ereport};

use crate::fault;

/// Why a transaction of the worker was rolled back.
#[derive(Debug)]
pub struct Failure {
    pub code: PgSqlErrorCode,
    pub message: String,
}

impl Failure {
    /// Whether the rows are at fault and would be at the next try: data exceptions (class 22),
    /// violated constraints (class 23), damaged data, what our own code does not understand.
    pub fn is_of_the_rows(&self) -> bool {
        // The first two characters of a SQLSTATE, six bits each, the first one lowest.
        const DATA_EXCEPTION: i32 = 0o0202;
        const CONSTRAINT_VIOLATION: i32 = 0o0302;
        let class = self.code as i32 & 0o7777;
        class == DATA_EXCEPTION
            || class == CONSTRAINT_VIOLATION
            || self.code == PgSqlErrorCode::ERRCODE_DATA_CORRUPTED
    }

    /// Whether less at a time may succeed: more than an array or the memory can hold.
    pub fn is_of_size(&self) -> bool {
        matches!(
            self.code,
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED | PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
        )
    }

    /// Whether some of so many rows may be to blame: then half of them at a time are tried.
    pub fn is_of_some(&self, count: usize) -> bool {
        self.is_of_the_rows() || self.is_of_size() && count > 1
    }

    /// Whether memory is short: later there may be enough.
    pub fn is_of_memory(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY
    }

    /// There is no memory for so many bytes.
    pub fn out_of_memory(bytes: usize) -> Failure {
        Failure {
            code: PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            message: format!("out of memory: no {bytes} bytes"),
        }
    }

    /// Somebody has locked the states of queues that were to be changed.
    pub fn states_locked() -> Failure {
        Failure {
            code: PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            message: "somebody has locked rows of hooks.queue_state".to_owned(),
        }
    }

    /// The extension is not the one that this process serves.
    pub fn extension_gone() -> Failure {
        Failure {
            code: PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            message: "extension \"pg_hooks\" was dropped".to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<SpiError> for Failure {
    fn from(error: SpiError) -> Failure {
        let code = match error {
            SpiError::DatumError(_) => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        };
        Failure {
            code,
            message: error.to_string(),
        }
    }
}

impl From<CaughtError> for Failure {
    fn from(error: CaughtError) -> Failure {
        match error {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => Failure {
                code: report.sql_error_code(),
                message: report.message().to_owned(),
            },
            // Of the rows, as far as we know: then one of them stops no others. Its words may hold secrets.
            CaughtError::RustPanic { ereport, .. } => Failure {
                code: PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                message: format!("panic at {}:{}", ereport.file(), ereport.line_number()),
            },
        }
    }
}

/// Raises an error if a test wants one here, with the SQLSTATE that its plan gives, or that of an I/O error. It
/// may also give "panic".
#[inline]
pub fn fail_if_struck(place: impl FnOnce() -> String) {
    if !cfg!(feature = "faults") {
        return;
    }
    let place = place();
    if let Some(strike) = fault::strike(&place) {
        if strike.argument.as_deref() == Some("panic") {
            panic_any(format!("fault at {place}"));
        }
        let code = strike
            .argument
            .as_deref()
            .map_or(PgSqlErrorCode::ERRCODE_IO_ERROR, sqlstate);
        ereport!(ERROR, code, format!("fault at {place}"));
    }
}

/// Six bits for each of the five characters, the first one lowest.
fn sqlstate(text: &str) -> PgSqlErrorCode {
    let characters = text.bytes().rev();
    let code = characters.fold(0, |code, c| {
        (code << 6) | ((i32::from(c) - i32::from(b'0')) & 0x3f)
    });
    PgSqlErrorCode::from(code)
}
