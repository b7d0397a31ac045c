//! How much of it tests do: more in the long form of verification, or as somebody wants.

use std::str::FromStr;

/// What the variable of the environment says, or what is usual.
///
/// # Panics
/// It is no number.
pub fn of<T: FromStr>(variable: &str, usual: T) -> T {
    match std::env::var(variable) {
        Ok(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => usual,
    }
}
