//! Runs around changes of the clocks, as Debian's cron has them.

use super::*;

/// In 2026 clocks go from 02:00 to 03:00 on 8 March and from 02:00 back to 01:00 on 1 November.
const NEW_YORK: &str = "America/New_York";

#[test]
fn fixed_time_in_a_skipped_hour_runs_once_when_the_clocks_go_forward() {
    let skipped = [
        "2026-03-07T02:30:00-05:00",
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ];
    assert_runs("30 2 * * *", NEW_YORK, "2026-03-07T00:00", &skipped);
    // Several skipped times, and one that falls due at that moment, make one run.
    let several = [
        "2026-03-07T02:50:00-05:00",
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:10:00-04:00",
    ];
    assert_runs("10,50 2 * * *", NEW_YORK, "2026-03-07T07:20", &several);
    let due_anyway = [
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:00:00-04:00",
        "2026-03-09T03:00:00-04:00",
    ];
    assert_runs("0 2,3 * * *", NEW_YORK, "2026-03-08T06:59", &due_anyway);
    // The date of a skipped time is its own.
    assert_runs(
        "30 2 8 3 *",
        NEW_YORK,
        "2026-01-01T00:00",
        &["2026-03-08T03:00:00-04:00", "2027-03-08T02:30:00-05:00"],
    );
}

#[test]
fn fixed_time_in_a_repeated_hour_runs_once() {
    let first_only = [
        "2026-10-31T01:30:00-04:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ];
    assert_runs("30 1 * * *", NEW_YORK, "2026-10-31T00:00", &first_only);
    let both = [
        "2026-11-01T01:15:00-04:00",
        "2026-11-01T01:45:00-04:00",
        "2026-11-02T01:15:00-05:00",
    ];
    assert_runs("15,45 1 * * *", NEW_YORK, "2026-11-01T04:00", &both);
    // Nor does it matter that somebody asks within the repeated hour, or at its very beginning.
    for from in [
        "2026-11-01T06:00",
        "2026-11-01T06:10",
        "2026-11-01T06:30",
        "2026-11-01T06:59",
    ] {
        assert_runs("30 1 * * *", NEW_YORK, from, &["2026-11-02T01:30:00-05:00"]);
        assert_runs("0 2 * * *", NEW_YORK, from, &["2026-11-01T02:00:00-05:00"]);
    }
}

#[test]
fn entry_by_the_clock_runs_at_what_clocks_show() {
    let skips = [
        "2026-03-08T01:30:00-05:00",
        "2026-03-08T03:00:00-04:00",
        "2026-03-08T03:30:00-04:00",
    ];
    assert_runs("*/30 * * * *", NEW_YORK, "2026-03-08T06:00", &skips);
    let repeats = [
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:30:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ];
    assert_runs("*/30 * * * *", NEW_YORK, "2026-11-01T04:59", &repeats);
    let hourly = ["2026-11-01T00:00:00-04:00", repeats[0], repeats[2], repeats[4]];
    assert_runs("@hourly", NEW_YORK, "2026-11-01T03:59", &hourly);
    // A star in the minute field is enough, and one in another field is not.
    assert_runs(
        "*/30 2 * * *",
        NEW_YORK,
        "2026-03-08T00:00",
        &["2026-03-09T02:00:00-04:00"],
    );
    assert_runs(
        "30 */2 * * *",
        NEW_YORK,
        "2026-03-08T06:00",
        &["2026-03-08T04:30:00-04:00"],
    );
    assert_runs(
        "30 2 */1 */1 */1",
        NEW_YORK,
        "2026-03-08T00:00",
        &["2026-03-08T03:00:00-04:00"],
    );
}

#[test]
fn seconds_follow_the_same_rules() {
    assert_runs(
        "10 30 2 * * *",
        NEW_YORK,
        "2026-03-08T00:00",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:10-04:00"],
    );
    assert_runs(
        "*/30 30 2 * * *",
        NEW_YORK,
        "2026-03-08T00:00",
        &["2026-03-09T02:30:00-04:00", "2026-03-09T02:30:30-04:00"],
    );
    let repeats = [
        "2026-11-01T01:59:59-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:00:01-05:00",
    ];
    assert_runs("* * * * * *", NEW_YORK, "2026-11-01T05:59:58", &repeats);
    assert_runs(
        "59 59 1 * * *",
        NEW_YORK,
        "2026-11-01T05:59:58",
        &["2026-11-01T01:59:59-04:00", "2026-11-02T01:59:59-05:00"],
    );
}

#[test]
fn london() {
    let runs = [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T02:00:00+01:00",
        "2026-03-30T01:30:00+01:00",
    ];
    assert_runs("30 1 * * *", "Europe/London", "2026-03-28T00:00", &runs);
    let runs = ["2026-10-25T01:30:00+01:00", "2026-10-26T01:30:00+00:00"];
    assert_runs("30 1 * * *", "Europe/London", "2026-10-24T12:00", &runs);
    let runs = [
        "2026-10-25T01:30:00+01:00",
        "2026-10-25T01:30:00+00:00",
        "2026-10-25T02:30:00+00:00",
    ];
    assert_runs("30 * * * *", "Europe/London", "2026-10-25T00:00", &runs);
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    // 02:00 to 02:30 on 4 October, 02:00 to 01:30 on 5 April.
    let zone = "Australia/Lord_Howe";
    assert_runs(
        "15 2 * * *",
        zone,
        "2026-10-03T00:00",
        &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
    );
    let hourly = ["2026-10-04T01:15:00+10:30", "2026-10-04T03:15:00+11:00"];
    assert_runs("15 * * * *", zone, "2026-10-03T14:00", &hourly);
    assert_runs(
        "45 1 * * *",
        zone,
        "2026-04-04T00:00",
        &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    );
    let hourly = [
        "2026-04-05T01:45:00+11:00",
        "2026-04-05T01:45:00+10:30",
        "2026-04-05T02:45:00+10:30",
    ];
    assert_runs("45 * * * *", zone, "2026-04-04T14:00", &hourly);
}

#[test]
fn chatham_is_a_quarter_of_an_hour_off() {
    // 02:45 to 03:45 on 27 September, 03:45 to 02:45 on 5 April.
    let zone = "Pacific/Chatham";
    let runs = [
        "2026-09-26T03:00:00+12:45",
        "2026-09-27T03:45:00+13:45",
        "2026-09-28T03:00:00+13:45",
    ];
    assert_runs("0 3 * * *", zone, "2026-09-25T12:00", &runs);
    assert_runs(
        "0 3 * * *",
        zone,
        "2026-04-04T00:00",
        &["2026-04-05T03:00:00+13:45", "2026-04-06T03:00:00+12:45"],
    );
    let hourly = [
        "2026-04-05T02:00:00+13:45",
        "2026-04-05T03:00:00+13:45",
        "2026-04-05T03:00:00+12:45",
        "2026-04-05T04:00:00+12:45",
    ];
    assert_runs("0 * * * *", zone, "2026-04-04T12:00", &hourly);
}

#[test]
fn day_that_apia_left_out_is_made_up_for_by_nobody() {
    let zone = "Pacific/Apia";
    assert_runs(
        "0 12 * * *",
        zone,
        "2011-12-29T12:00",
        &["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"],
    );
    assert_runs(
        "0 12 30 * *",
        zone,
        "2011-12-29T12:00",
        &["2012-01-30T12:00:00+14:00"],
    );
    assert_runs(
        "0 0 * * 5",
        zone,
        "2011-12-29T12:00",
        &["2012-01-06T00:00:00+14:00"],
    );
    assert_runs(
        "0 0 * * *",
        zone,
        "2011-12-30T00:00",
        &["2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"],
    );
    assert_runs(
        "59 * * * *",
        zone,
        "2011-12-30T09:00",
        &["2011-12-29T23:59:00-10:00", "2011-12-31T00:59:00+14:00"],
    );
}

#[test]
fn casablanca_sets_clocks_back_for_ramadan() {
    // In 2026 from 03:00 to 02:00 on 15 February, from 02:00 to 03:00 on 22 March.
    let zone = "Africa/Casablanca";
    assert_runs(
        "30 2 * * *",
        zone,
        "2026-02-14T12:00",
        &["2026-02-15T02:30:00+01:00", "2026-02-16T02:30:00+00:00"],
    );
    let twice = [
        "2026-02-15T02:30:00+01:00",
        "2026-02-15T02:30:00+00:00",
        "2026-02-15T03:30:00+00:00",
    ];
    assert_runs("30 * * * *", zone, "2026-02-15T01:00", &twice);
    assert_runs(
        "30 2 * * *",
        zone,
        "2026-03-21T12:00",
        &["2026-03-22T03:00:00+01:00", "2026-03-23T02:30:00+01:00"],
    );
}

#[test]
fn three_hours_forward_are_a_correction_and_three_back_are_not() {
    // Casey: from 00:01 to 03:01 on 4 October 2020, from 00:00 back to 21:00 on 14 March 2021; `cron.c`.
    let zone = "Antarctica/Casey";
    assert_runs(
        "30 1 * * *",
        zone,
        "2020-10-03T00:00",
        &["2020-10-05T01:30:00+11:00"],
    );
    assert_runs(
        "0 22 * * *",
        zone,
        "2021-03-13T00:00",
        &["2021-03-13T22:00:00+11:00", "2021-03-14T22:00:00+08:00"],
    );
}

#[test]
fn more_than_three_hours_back_are_a_correction() {
    // Vostok, from 00:00 on 1 February 1994 back to 17:00.
    let runs = [
        "1994-01-31T20:00:00+07:00",
        "1994-01-31T20:00:00+00:00",
        "1994-02-01T20:00:00+00:00",
    ];
    assert_runs("0 20 * * *", "Antarctica/Vostok", "1994-01-31T00:00", &runs);
}

#[test]
fn change_is_heeded_however_far_away() {
    let asked = "2026-01-01T12:00";
    assert_runs(
        "30 1 1 11 *",
        NEW_YORK,
        asked,
        &["2026-11-01T01:30:00-04:00", "2027-11-01T01:30:00-04:00"],
    );
    let repeated = [
        "2026-11-01T01:20:00-04:00",
        "2026-11-01T01:20:00-05:00",
        "2027-11-01T01:20:00-04:00",
    ];
    assert_runs("20 *,1 1 11 *", NEW_YORK, "2026-11-01T05:00", &repeated[..2]);
    assert_runs(
        "*/40 1 1 11 *",
        NEW_YORK,
        asked,
        &[
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:40:00-04:00",
            "2026-11-01T01:00:00-05:00",
        ],
    );
    assert_runs(
        "30 2 8 3 *",
        NEW_YORK,
        "2025-06-01T12:00",
        &["2026-03-08T03:00:00-04:00"],
    );
    assert_runs(
        "*/30 2 8 3 *",
        NEW_YORK,
        "2025-06-01T12:00",
        &["2027-03-08T02:00:00-05:00"],
    );
}

#[test]
fn hour_skipped_at_midnight_belongs_to_the_new_day() {
    // Clocks in Santiago went from 00:00 to 01:00 on Sunday 6 September 2026.
    let zone = "America/Santiago";
    assert_runs(
        "0 0 * * 0",
        zone,
        "2026-09-01T00:00",
        &["2026-09-06T01:00:00-03:00", "2026-09-13T00:00:00-03:00"],
    );
    assert_runs(
        "@daily",
        zone,
        "2026-09-05T05:00",
        &["2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"],
    );
    assert_runs(
        "@hourly",
        zone,
        "2026-09-06T02:30",
        &["2026-09-05T23:00:00-04:00", "2026-09-06T01:00:00-03:00"],
    );
}

#[test]
fn schedule_by_the_clock_that_is_always_skipped_has_no_run() {
    /// New York without end: the second Sunday in March at 02:00 to the first one in November.
    struct AlwaysSkipped;
    impl Zone for AlwaysSkipped {
        fn utc_offset(&self, at: Timestamp) -> i32 {
            let standard = DateTime::from_timestamp_micros(at.0 - 5 * 3_600_000_000).unwrap();
            let year = chrono::Datelike::year(&standard);
            let sunday = |month, nth| {
                let day =
                    chrono::NaiveDate::from_weekday_of_month_opt(year, month, chrono::Weekday::Sun, nth);
                day.unwrap()
                    .and_hms_opt(if nth == 2 { 2 } else { 1 }, 0, 0)
                    .unwrap()
            };
            let summer = sunday(3, 2) <= standard.naive_utc() && standard.naive_utc() < sunday(11, 1);
            if summer { -4 * 3600 } else { -5 * 3600 }
        }
    }
    let always = schedule("*/30 2 8-14 3 */7");
    assert_eq!(always.next_after(at("2026-01-01T00:00"), &AlwaysSkipped), None);
    let fixed: Vec<_> = preview(
        &schedule("30 2 8-14 3 */7"),
        &AlwaysSkipped,
        at("2026-01-01T00:00"),
        100,
    )
    .collect();
    assert_eq!(fixed.len(), 75);
    assert_eq!(fixed[0], at("2026-03-08T03:00:00-04:00"));
}

#[test]
fn zone_that_makes_no_sense_does_not_turn_time_back() {
    /// 100 hours ahead of UTC, but for two days that begin with 2026.
    struct Senseless;
    impl Zone for Senseless {
        fn utc_offset(&self, moment: Timestamp) -> i32 {
            let in_between = at("2026-01-01T00:00") <= moment && moment < at("2026-01-03T02:00");
            if in_between { 0 } else { 100 * 3600 }
        }
    }
    let asked = at("2026-01-01T01:00");
    let next = schedule("0 0 5 1 *").next_after(asked, &Senseless);
    assert!(next.is_none_or(|next| next > asked), "{next:?}");
}
