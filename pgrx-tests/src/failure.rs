//! The one error of the harness: a sentence for whoever runs it.

use std::fmt;

/// Why a step could not be done, and with which code a program ends because of it.
#[derive(Clone, Debug)]
pub struct Failure {
    message: String,
    exit_code: u8,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure that ends a program with code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            exit_code: 1,
        }
    }

    /// Something is missing that only the user can provide: code 2.
    pub fn needs_user(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            exit_code: 2,
        }
    }

    /// Says what was being done when `cause` came.
    pub fn because(doing: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Failure::new(format!("{doing}: {cause}"))
    }

    /// Prints the failure to standard error and gives the code to end with.
    pub fn report(&self) -> std::process::ExitCode {
        eprintln!("error: {self}");
        self.exit_code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
