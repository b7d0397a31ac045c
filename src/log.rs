//! Every line that launcher, workers and leaders write to the server's log, each with an id that stays.
//!
//! `docs/operating.md` has the same table for people; a test compares the two. An id is never used for something
//! else, and a line that changes what it means gets a new one. Lines of level DEBUG1 have none.

use std::fmt::Display;

use pgrx::prelude::*;

use crate::session;

/// How PostgreSQL files a line. `Warning` is for what somebody should look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Log,
    Warning,
}

/// A function for each line: its id, its level, its name with what it tells of, and its words.
macro_rules! lines {
    ($($id:ident $level:ident $name:ident($($told:ident),*) $words:literal)*) => {
        $(
            #[doc = concat!("`", stringify!($id), "`: ", $words)]
            pub fn $name($($told: impl Display),*) {
                write(Level::$level, stringify!($id), &format!($words));
            }
        )*

        #[cfg(test)]
        const CATALOGUE: &[(&str, Level, &str)] = &[$((stringify!($id), Level::$level, $words)),*];
    };
}

lines! {
    PGH101 Log leads() "pg_hooks worker leads in this database"
    PGH102 Log extension_dropped() "pg_hooks worker ends: the extension was dropped"
    PGH103 Log lost_the_lead() "pg_hooks worker ends: it leads no longer"
    PGH104 Warning could_not_begin(failure) "pg_hooks worker could not begin to lead: {failure}"
    PGH105 Warning could_not_start(error) "pg_hooks worker could not start: {error}"
    PGH106 Warning too_many_databases(most) "pg_hooks cannot serve this database: {most} others have the extension"
    PGH107 Warning could_not_look(failure) "pg_hooks worker could not read pg_extension: {failure}"
    PGH108 Log no_worker_slot() "could not start a pg_hooks worker: max_worker_processes is used up"
    PGH109 Log could_not_note_end(failure) "pg_hooks worker could not note its end: {failure}"
    PGH110 Log leaves_counts(failure) "pg_hooks worker leaves counts to the next one: {failure}"
    PGH111 Warning could_not_abort(failure) "pg_hooks worker could not roll back, and starts anew: {failure}"

    PGH201 Warning rests(part, pause_ms, failure) "pg_hooks worker rests from {part} for {pause_ms} ms: {failure}"
    PGH202 Warning parked(message, failure) "could not record what became of message {message}, which is parked: {failure}"
    PGH203 Warning schedule_rests(schedule, pause_s, failure) "schedule {schedule} could not run, and rests for {pause_s} s: {failure}"
    PGH204 Warning schedule_invalid(schedule, problem) "pg_hooks does not run schedule {schedule}, which is not valid: {problem}"

    PGH301 Log dead_letter(message, queue) "message {message} of queue {queue} became a dead letter"
    PGH302 Log orphans_buried(count) "{count} messages of dropped queues became dead letters"
    PGH303 Log breaker_opened(queue) "circuit breaker of queue {queue} opened: too many attempts failed"
    PGH304 Log breaker_closed(queue) "circuit breaker of queue {queue} closed: its receiver is back"
    PGH305 Log queue_disabled(queue, reason) "queue {queue} was disabled: {reason}"
    PGH306 Warning queue_invalid(queue, problem) "pg_hooks sends nothing to queue {queue}, which is not valid: {problem}"
    PGH307 Warning queue_held(queue, problem) "pg_hooks holds the messages of queue {queue} until this is put right: {problem}"
    PGH308 Warning secrets_unusable(queue, problem) "pg_hooks cannot use all secrets of queue {queue}: {problem}"
    PGH310 Warning filter_overran(subscription, taken_ms, pause_s) "filter of subscription {subscription} took {taken_ms} ms, and lets nothing of the worker through for {pause_s} s"
    PGH311 Warning filters_rest(pause_s) "no filter lets anything of the worker through for {pause_s} s: they took too long"

    PGH401 Warning addresses_invalid(problem) "the settings of addresses are not valid, so they allow nothing: {problem}"
    PGH402 Warning proxy_invalid(problem) "hooks.proxy is not valid, so none is used: {problem}"
    PGH403 Warning few_descriptors(shortfall) "pg_hooks worker {shortfall}"
    PGH404 Warning no_descriptor(complaint) "pg_hooks worker {complaint}"
    PGH405 Warning distrusts(problem) "pg_hooks worker {problem}"

    PGH501 Warning could_not_look_at_days(failure) "pg_hooks worker could not look at the days of the history: {failure}"
    PGH502 Warning could_not_turn_day(partition, failure) "pg_hooks could not turn the partition of {partition}: {failure}"

    PGH601 Log held(reason) "pg_hooks worker sends nothing: {reason}"
    PGH602 Log found_foreign_queues() "pg_hooks worker sends nothing more: there are queues of another database"
    PGH603 Warning could_not_ask_for_hold(failure) "pg_hooks worker could not find out whether it may send: {failure}"
}

fn write(level: Level, id: &str, words: &str) {
    session::uninterrupted(|| match level {
        Level::Log => log!("[{id}] {words}"),
        Level::Warning => warning!("[{id}] {words}"),
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the worker's transactions say in SQL.
    const IN_SQL: (&str, Level, &str) = ("PGH309", Level::Warning, "could not publish {event}: {failure}");

    /// The rows of tables whose first cell is an id, as id, level and words.
    fn documented() -> Vec<(String, String, String)> {
        let document = include_str!("../docs/operating.md");
        let rows = document.lines().filter(|line| line.starts_with("| `PGH"));
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            (cell(cells[0]), cell(cells[1]), cell(cells[2]))
        })
        .collect()
    }

    #[test]
    fn lines_are_those_that_the_documents_list() {
        let lines = CATALOGUE.iter().chain([&IN_SQL]).map(|(id, level, words)| {
            let level = format!("{level:?}").to_uppercase();
            ((*id).to_owned(), level, (*words).to_owned())
        });
        let lines: BTreeSet<_> = lines.collect();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), documented());
        let sql = include_str!("../sql/functions/operational.sql");
        assert!(sql.contains("'[PGH309] could not publish %: %'"));
    }

    #[test]
    fn ids_are_unique_and_in_order() {
        let ids: Vec<&str> = CATALOGUE.iter().map(|line| line.0).collect();
        let in_order: Vec<&str> = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(ids, in_order);
        assert!(ids.iter().all(|id| id.len() == 6), "{ids:?}");
    }
}
