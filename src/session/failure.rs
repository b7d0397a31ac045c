//! Why a transaction of the worker failed, and whether the rows are to blame.

use std::fmt;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::spi::SpiError;

/// Why a transaction of the worker was rolled back.
#[derive(Debug)]
pub struct Failure {
    pub code: PgSqlErrorCode,
    pub message: String,
}

impl Failure {
    /// Whether the rows are at fault and would be at the next try: data exceptions (class 22),
    /// violated constraints (class 23), damaged data.
    pub fn is_of_the_rows(&self) -> bool {
        // The first two characters of a SQLSTATE, six bits each, the first one lowest.
        const DATA_EXCEPTION: i32 = 0o0202;
        const CONSTRAINT_VIOLATION: i32 = 0o0302;
        let class = self.code as i32 & 0o7777;
        class == DATA_EXCEPTION
            || class == CONSTRAINT_VIOLATION
            || self.code == PgSqlErrorCode::ERRCODE_DATA_CORRUPTED
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
        Failure {
            code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
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
            CaughtError::RustPanic { ereport, .. } => Failure {
                code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                message: ereport.message().to_owned(),
            },
        }
    }
}
