//! One parser each.

pub mod address;
pub mod answer;
pub mod cron;
pub mod envelope;
pub mod headers;
pub mod pattern;
pub mod retry_after;
pub mod url;
