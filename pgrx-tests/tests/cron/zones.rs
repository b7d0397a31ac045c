//! Time zones of the server: the cases of the pure module, through its data.

use crate::site::Site;

const NEW_YORK: &str = "America/New_York";
const LONDON: &str = "Europe/London";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const CHATHAM: &str = "Pacific/Chatham";
const APIA: &str = "Pacific/Apia";
const CASABLANCA: &str = "Africa/Casablanca";

type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Schedule, zone, from when on (UTC), and the first runs. As in `domain/cron/tests/clock_changes.rs`.
const CASES: &[Case] = &[
    // Skipped, once when the clocks go forward; repeated, the first time only.
    (
        "30 2 * * *",
        NEW_YORK,
        "2026-03-07 00:00+00",
        &[
            "2026-03-07 02:30-05",
            "2026-03-08 03:00-04",
            "2026-03-09 02:30-04",
        ],
    ),
    (
        "0 2,3 * * *",
        NEW_YORK,
        "2026-03-08 06:59+00",
        &[
            "2026-03-08 03:00-04",
            "2026-03-09 02:00-04",
            "2026-03-09 03:00-04",
        ],
    ),
    (
        "30 1 * * *",
        NEW_YORK,
        "2026-10-31 00:00+00",
        &[
            "2026-10-31 01:30-04",
            "2026-11-01 01:30-04",
            "2026-11-02 01:30-05",
        ],
    ),
    (
        "30 1 * * *",
        NEW_YORK,
        "2026-11-01 06:10+00",
        &["2026-11-02 01:30-05"],
    ),
    // By the clock: not in the skipped hour, twice in the repeated one.
    (
        "*/30 * * * *",
        NEW_YORK,
        "2026-03-08 06:00+00",
        &[
            "2026-03-08 01:30-05",
            "2026-03-08 03:00-04",
            "2026-03-08 03:30-04",
        ],
    ),
    (
        "*/30 * * * *",
        NEW_YORK,
        "2026-11-01 04:59+00",
        &[
            "2026-11-01 01:00-04",
            "2026-11-01 01:30-04",
            "2026-11-01 01:00-05",
            "2026-11-01 01:30-05",
            "2026-11-01 02:00-05",
        ],
    ),
    (
        "every 6 hours",
        NEW_YORK,
        "2026-03-08 00:00+00",
        &["2026-03-08 06:00+00", "2026-03-08 12:00+00"],
    ),
    (
        "30 1 * * *",
        LONDON,
        "2026-03-28 00:00+00",
        &[
            "2026-03-28 01:30+00",
            "2026-03-29 02:00+01",
            "2026-03-30 01:30+01",
        ],
    ),
    (
        "30 * * * *",
        LONDON,
        "2026-10-25 00:00+00",
        &[
            "2026-10-25 01:30+01",
            "2026-10-25 01:30+00",
            "2026-10-25 02:30+00",
        ],
    ),
    (
        "15 2 * * *",
        LORD_HOWE,
        "2026-10-03 00:00+00",
        &["2026-10-04 02:30+11", "2026-10-05 02:15+11"],
    ),
    (
        "45 * * * *",
        LORD_HOWE,
        "2026-04-04 14:00+00",
        &[
            "2026-04-05 01:45+11",
            "2026-04-05 01:45+10:30",
            "2026-04-05 02:45+10:30",
        ],
    ),
    (
        "0 3 * * *",
        CHATHAM,
        "2026-09-25 12:00+00",
        &[
            "2026-09-26 03:00+12:45",
            "2026-09-27 03:45+13:45",
            "2026-09-28 03:00+13:45",
        ],
    ),
    (
        "0 3 * * *",
        CHATHAM,
        "2026-04-04 00:00+00",
        &["2026-04-05 03:00+13:45", "2026-04-06 03:00+12:45"],
    ),
    (
        "0 12 * * *",
        APIA,
        "2011-12-29 12:00+00",
        &["2011-12-29 12:00-10", "2011-12-31 12:00+14"],
    ),
    (
        "30 2 * * *",
        CASABLANCA,
        "2026-02-14 12:00+00",
        &["2026-02-15 02:30+01", "2026-02-16 02:30+00"],
    ),
    (
        "30 * * * *",
        CASABLANCA,
        "2026-02-15 01:00+00",
        &[
            "2026-02-15 02:30+01",
            "2026-02-15 02:30+00",
            "2026-02-15 03:30+00",
        ],
    ),
    (
        "30 2 * * *",
        CASABLANCA,
        "2026-03-21 12:00+00",
        &["2026-03-22 03:00+01", "2026-03-23 02:30+01"],
    ),
];

#[test]
fn preview_follows_the_clocks_of_the_zone() {
    let mut site = Site::new();
    let query = "select array_agg(extract(epoch from p)::bigint order by p) from hooks.cron_preview($1, $2, $3::text::timestamptz, $4) as p";
    let expected_query =
        "select array_agg(extract(epoch from t::timestamptz)::bigint) from unnest($1::text[]) as t";
    for (schedule, zone, from, runs) in CASES {
        let count = i32::try_from(runs.len()).unwrap();
        let found: Vec<i64> = site
            .client
            .query_one(query, &[schedule, zone, from, &count])
            .unwrap()
            .get(0);
        let expected: Vec<i64> = site.client.query_one(expected_query, &[runs]).unwrap().get(0);
        assert_eq!(found, expected, "{schedule} in {zone} from {from}: {runs:?}");
    }
}

/// Over 30 years: each day once, and at the time that `AT TIME ZONE` shows, but for skipped times.
#[test]
fn preview_agrees_with_at_time_zone() {
    let mut site = Site::new();
    for zone in [
        NEW_YORK,
        LONDON,
        LORD_HOWE,
        CHATHAM,
        APIA,
        CASABLANCA,
        "UTC",
        "Asia/Kathmandu",
        "EST5EDT",
        "Etc/GMT+5",
    ] {
        let row = site
            .client
            .query_one(
                "with runs as (
                   select p, p at time zone $1 as wall
                   from hooks.cron_preview('15 2 * * *', $1, '2000-01-01 00:00+00', 10000) as p
                 )
                 select count(*), count(distinct wall::date), count(*) filter (where wall::time <> '02:15'),
                        -- A run at another time: the one that is named does not exist on that day.
                        count(*) filter (where wall::time <> '02:15'
                          and ((wall::date + time '02:15') at time zone $1) at time zone $1 = wall::date + time '02:15')
                 from runs",
                &[&zone],
            )
            .unwrap();
        let counts: [i64; 4] = [0, 1, 2, 3].map(|column| row.get(column));
        assert_eq!(
            (counts[0], counts[1], counts[3]),
            (10_000, 10_000, 0),
            "{zone}: {counts:?}"
        );
        assert!(counts[2] <= 60, "{zone}: {counts:?}");
    }
}

#[test]
fn every_zone_that_the_server_lists_is_taken_in_any_case() {
    let mut site = Site::new();
    let refused: Vec<String> = site.column(
        "select z.name from pg_timezone_names as z
         where not exists (select from hooks.cron_preview('@daily', upper(z.name)))",
    );
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn ticks_come_by_the_clock_of_the_zone() {
    let mut site = Site::new();
    site.queue("q", "");
    // A whole second that comes soon, as clocks in Kathmandu show it.
    site.run(
        "select hooks.schedule('a', 'q', to_char((now() + interval '10 s') at time zone 'Asia/Kathmandu', 'SS MI HH24 * * \"*\"'),
           timezone => 'Asia/Kathmandu')",
    );
    let planned: i64 = site.value("select extract(epoch from next_run_at)::bigint from hooks.cron");
    assert!((0..=10).contains(&(planned - site.now())));
    assert_eq!(site.wait_for_ticks("q", 1)[0].at, planned);
    let tomorrow: bool = site.value("select next_run_at = last_run_at + interval '24 hours' from hooks.cron");
    assert!(tomorrow);
}

/// A zone of the session has no say.
#[test]
fn zone_of_the_session_does_not_matter() {
    let mut site = Site::new();
    for zone in ["Asia/Tokyo", "America/New_York"] {
        site.run(&format!("set timezone = '{zone}'"));
        let first: bool = site.value(
            "select p = '2026-01-02 00:00+00' from hooks.cron_preview('@daily', \"from\" => '2026-01-01 12:00+00', n => 1) as p",
        );
        assert!(first, "{zone}");
    }
}
