//! Filters that the worker evaluates: bounded, as deliveries wait meanwhile. See `sql/functions/filters.sql`.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use crate::domain::patience::{Filter, LONGEST, Patience, REST, Spent, WINDOW};
use crate::{log, session};

thread_local! {
    static PATIENCE: RefCell<Patience> = RefCell::default();
    /// When this process evaluated its first filter.
    static EPOCH: Instant = Instant::now();
    /// What is evaluated, and since when.
    static BEGAN: Cell<Option<(Filter, Instant)>> = const { Cell::new(None) };
}

/// Whether to evaluate it; if so, an alarm is set. Sessions of users have their own `statement_timeout`.
#[pg_extern(sql = false)]
fn begin_filter(subscription_id: i64, fingerprint: i64) -> bool {
    if !session::has_alarm() {
        return true;
    }
    let filter = (subscription_id, fingerprint);
    if !PATIENCE.with_borrow(|patience| patience.admits(filter, now())) {
        return false;
    }
    BEGAN.set(Some((filter, Instant::now())));
    session::set_alarm(LONGEST);
    true
}

/// Takes the alarm back; raises the error if it has gone off.
#[pg_extern(sql = false)]
fn end_filter() {
    if BEGAN.get().is_some() {
        session::stop_alarm();
    }
    // What it raises is asked about by filter_overran().
    pgrx::check_for_interrupts!();
    if let Some((filter, began)) = BEGAN.take() {
        spend(filter, began.elapsed());
    }
}

/// Since this process evaluated its first filter.
fn now() -> Duration {
    EPOCH.with(Instant::elapsed)
}

fn spend(filter: Filter, time: Duration) {
    let spent = PATIENCE.with_borrow_mut(|patience| patience.took(filter, time, now()));
    if let Some(Spent { by, taken }) = spent {
        log::filter_overran(by.0, taken.as_millis(), REST.as_secs());
        log::filters_rest(WINDOW.as_secs());
    }
}

/// Whether it was the alarm that cancelled the evaluation: who else does it comes earlier.
#[pg_extern(sql = false)]
fn filter_overran(subscription_id: i64, fingerprint: i64) -> bool {
    let Some((_, began)) = BEGAN.take() else {
        return false;
    };
    session::stop_alarm();
    if began.elapsed() < LONGEST {
        return false;
    }
    let filter = (subscription_id, fingerprint);
    let one_too_many = PATIENCE.with_borrow_mut(|patience| patience.overran(filter, now()));
    log::filter_overran(subscription_id, began.elapsed().as_millis(), REST.as_secs());
    if one_too_many {
        log::filters_rest(WINDOW.as_secs());
    }
    true
}
