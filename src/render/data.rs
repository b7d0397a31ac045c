//! What a report shows, as `hooks.report()` reads it.

use serde::Deserialize;

/// Everything. Lists are bounded by the query; the numbers beside them say how many there are.
#[derive(Deserialize)]
pub struct Report {
    pub database: String,
    pub version: String,
    /// When it was made, as it is to be shown.
    pub made_at: String,
    pub checks: Vec<Check>,
    pub totals: Totals,
    pub windows: Vec<Window>,
    pub minutes: Series,
    pub queues: Vec<Queue>,
    pub queue_count: u64,
    pub dead_letters: Vec<DeadLetter>,
    pub dead_letter_count: u64,
    /// Whether counting dead letters stopped there.
    pub dead_letters_capped: bool,
    pub failures: Vec<Failure>,
    pub schedules: Vec<Schedule>,
    pub schedule_count: u64,
}

/// A row of `hooks.health()`.
#[derive(Deserialize)]
pub struct Check {
    pub check_name: String,
    pub status: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Of all queues together.
#[derive(Deserialize)]
pub struct Totals {
    pub live: u64,
    pub capped: bool,
    pub due: u64,
    pub scheduled: u64,
    pub retrying: u64,
    pub in_flight: u64,
    pub delivered: u64,
    pub failed: u64,
    pub dead: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub messages_per_minute: Option<f64>,
}

/// A row of `hooks.windows`.
#[derive(Deserialize)]
pub struct Window {
    pub period: String,
    pub attempts: u64,
    pub delivered: u64,
    pub dead: u64,
    pub success_rate: Option<f64>,
    pub delivered_per_minute: Option<f64>,
    pub latency_p50_ms: Option<f64>,
    pub latency_p95_ms: Option<f64>,
    pub latency_p99_ms: Option<f64>,
}

/// The last hour by the minute, the oldest first.
#[derive(Deserialize)]
pub struct Series {
    pub delivered: Vec<f64>,
    pub failed: Vec<f64>,
    pub latency_p95_ms: Vec<Option<f64>>,
}

/// One queue.
#[derive(Deserialize)]
pub struct Queue {
    pub name: String,
    pub state: String,
    pub reason: Option<String>,
    pub due: u64,
    pub scheduled: u64,
    pub retrying: u64,
    pub capped: bool,
    pub oldest_due: Option<String>,
    pub delivered: u64,
    pub dead: u64,
    pub window: Option<Window>,
    pub minutes: Series,
}

/// A dead letter.
#[derive(Deserialize)]
pub struct DeadLetter {
    pub id: i64,
    pub queue: Option<String>,
    pub dead_at: String,
    pub attempts: u64,
    pub error_class: Option<String>,
    pub last_error: Option<String>,
}

/// The last failure of a queue.
#[derive(Deserialize)]
pub struct Failure {
    pub queue: String,
    pub at: String,
    pub error_class: Option<String>,
    pub error: Option<String>,
}

/// A schedule.
#[derive(Deserialize)]
pub struct Schedule {
    pub name: String,
    pub target: Option<String>,
    pub schedule: String,
    pub timezone: String,
    pub active: bool,
    pub next_run: Option<String>,
    pub last_run: Option<String>,
}
