//! Which schedules are taken, and why others are not.

use crate::site::{INVALID, Site};

const FIELDS: &str =
    "A field is a comma-separated list of \"*\", numbers, names and ranges, with steps such as \"*/5\".";

#[test]
fn forms_of_crontab_are_taken() {
    let mut site = Site::new();
    site.queue("q", "");
    let cases = [
        ("30 4 * * *", "2026-01-01 04:30:00"),
        ("*/20 9-17 * jan-mar mon,wed", "2026-01-05 09:00:00"),
        ("0 0 13 * 5", "2026-01-02 00:00:00"),
        ("0 0 * * 7", "2026-01-04 00:00:00"),
        ("0 0 * * sun", "2026-01-04 00:00:00"),
        ("15 30 4 * * *", "2026-01-01 04:30:15"),
        ("@hourly", "2026-01-01 01:00:00"),
        ("@daily", "2026-01-02 00:00:00"),
        ("@midnight", "2026-01-02 00:00:00"),
        ("@weekly", "2026-01-04 00:00:00"),
        ("@monthly", "2026-02-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
        ("@annually", "2027-01-01 00:00:00"),
        ("every 30 seconds", "2026-01-01 00:00:30"),
        ("EVERY 2 hours", "2026-01-01 02:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
    ];
    for (schedule, first) in cases {
        let found: String = site.value(&format!(
            "select to_char(p at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
             from hooks.cron_preview('{schedule}', 'UTC', '2026-01-01 00:00:00+00', 1) as p"
        ));
        assert_eq!(found, first, "{schedule}");
        site.run(&format!("select hooks.schedule('a', 'q', '{schedule}')"));
    }
}

#[test]
fn bad_schedules_are_refused_with_field_and_reason() {
    let mut site = Site::new();
    site.queue("q", "");
    let never = "schedule never fires: none of its months has one of its days of the month";
    let cases = [
        ("60 * * * *", "minute field: 60 is not between 0 and 59", FIELDS),
        ("* 24 * * *", "hour field: 24 is not between 0 and 23", FIELDS),
        (
            "* * 0 * *",
            "day-of-month field: 0 is not between 1 and 31",
            FIELDS,
        ),
        (
            "* * * foo *",
            "month field: \"foo\" is neither a number nor a name",
            FIELDS,
        ),
        ("* * * * 8", "day-of-week field: 8 is not between 0 and 7", FIELDS),
        ("61 * * * * *", "second field: 61 is not between 0 and 59", FIELDS),
        ("1,,2 * * * *", "minute field: a value is missing", FIELDS),
        ("*/0 * * * *", "minute field: step is zero", FIELDS),
        (
            "* 22-5 * * *",
            "hour field: range 22-5 runs backwards",
            "Write two ranges: for hours 22 to 5, \"22-23,0-5\".",
        ),
        ("0 0 30 2 *", never, "Check day of month against month."),
        ("0 0 31 4,6 *", never, "Check day of month against month."),
        (
            "@reboot",
            "@reboot is not supported",
            "Schedules run by the clock; send a message when your application starts.",
        ),
        (
            "@often",
            "schedule \"@often\" is not known",
            "Known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.",
        ),
        (
            "every 0 seconds",
            "interval: \"0\" is not a number from 1",
            "Write \"every 30 seconds\", \"every 5 minutes\", \"every 2 hours\" or \"every 1 day\".",
        ),
        (
            "* * *",
            "schedule has 3 fields, not 5 or 6",
            "Give minute, hour, day of month, month and day of week, such as \"30 4 * * mon-fri\"; seconds may come before them.",
        ),
        (
            "",
            "schedule is empty",
            "Give minute, hour, day of month, month and day of week, such as \"30 4 * * mon-fri\"; seconds may come before them.",
        ),
    ];
    for (schedule, message, hint) in cases {
        let ways = [
            format!("select hooks.schedule('a', 'q', '{schedule}')"),
            format!(
                "insert into hooks.cron (name, queue_id, schedule) values ('a', hooks.queue_id('q'), '{schedule}')"
            ),
            format!("select hooks.cron_preview('{schedule}')"),
        ];
        for way in ways {
            site.assert_refused(&way, INVALID, message, hint);
        }
    }
    site.run("select hooks.schedule('a', 'q', '@daily')");
    site.assert_refused(
        "update hooks.cron set schedule = '0 0 30 2 *'",
        INVALID,
        never,
        "Check day of month against month.",
    );
}

#[test]
fn preview_has_bounds() {
    let mut site = Site::new();
    let hint = "The default is 10.";
    for n in ["0", "-1", "10001", "null"] {
        site.assert_refused(
            &format!("select hooks.cron_preview('@daily', n => {n})"),
            INVALID,
            "n must be between 1 and 10000",
            hint,
        );
    }
    let count: i64 = site.value("select count(*) from hooks.cron_preview('@daily')");
    assert_eq!(count, 10);
    let count: i64 = site.value(
        "select count(*) from hooks.cron_preview('@yearly', \"from\" => '2099-01-01 00:00+00', n => 100)",
    );
    assert_eq!(count, 1, "the calendar ends with 2100");
    let count: i64 = site.value("select count(*) from hooks.cron_preview('@yearly', \"from\" => 'infinity')");
    assert_eq!(count, 0);
    let first: bool = site.value(
        "select min(p) = '1971-01-01 00:00+00' from hooks.cron_preview('@yearly', \"from\" => '-infinity', n => 2) as p
         where p > '1970-01-01 00:00+00'",
    );
    assert!(first);
    site.assert_refused(
        "select hooks.cron_preview(null)",
        INVALID,
        "schedule must not be null",
        "Give one such as \"30 4 * * mon-fri\" or \"@daily\".",
    );
}
