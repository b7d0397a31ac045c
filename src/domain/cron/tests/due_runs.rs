use proptest::prelude::*;

use super::*;

const ALL: [MissedPolicy; 3] = [MissedPolicy::Skip, MissedPolicy::Once, MissedPolicy::All];

/// The ticks of an hourly schedule as hours and minutes, with `!` for late ones, and the next run.
fn hourly(planned: &str, now: &str, policy: MissedPolicy, limit: usize) -> (Vec<String>, String) {
    let utc = zone("UTC");
    let short = |at: Timestamp| shown(at, &utc)[11..16].to_owned();
    let day = |time: &str| at(&format!("2026-01-01T{time}"));
    let due = due(
        &schedule("0 * * * *"),
        &utc,
        day(planned),
        day(now),
        policy,
        limit,
    );
    let mark = |late| if late { "!" } else { "" };
    let ticks = due
        .ticks
        .iter()
        .map(|tick| short(tick.at) + mark(tick.late))
        .collect();
    (ticks, short(due.next.unwrap()))
}

#[test]
fn planned_run_of_the_schedule_is_one_tick() {
    for policy in ALL {
        assert_eq!(
            hourly("02:00", "02:00", policy, 10),
            (vec!["02:00".to_owned()], "03:00".to_owned())
        );
    }
}

#[test]
fn planned_run_that_the_schedule_does_not_name_is_a_tick_too() {
    for policy in ALL {
        assert_eq!(hourly("02:20", "02:20", policy, 10).0, ["02:20"]);
    }
    assert_eq!(hourly("02:20", "02:50", MissedPolicy::Skip, 10).0, [""; 0]);
    assert_eq!(hourly("02:20", "02:50", MissedPolicy::Once, 10).0, ["02:20!"]);
    assert_eq!(hourly("02:20", "02:50", MissedPolicy::All, 10).0, ["02:20!"]);
}

#[test]
fn runs_that_came_after_the_planned_one_are_missed_by_policy() {
    assert_eq!(hourly("02:20", "05:30", MissedPolicy::Skip, 10).0, [""; 0]);
    assert_eq!(hourly("02:20", "05:00", MissedPolicy::Skip, 10).0, ["05:00"]);
    assert_eq!(hourly("02:20", "05:30", MissedPolicy::Once, 10).0, ["05:00!"]);
    assert_eq!(
        hourly("02:20", "05:30", MissedPolicy::All, 10).0,
        ["02:20!", "03:00!", "04:00!", "05:00!"]
    );
    assert_eq!(
        hourly("02:20", "05:30", MissedPolicy::All, 3).0,
        ["03:00!", "04:00!", "05:00!"]
    );
    assert_eq!(hourly("02:20", "05:30", MissedPolicy::All, 10).1, "06:00");
}

#[test]
fn earliest_time_there_is_does_no_harm() {
    let utc = zone("UTC");
    let now = at("2026-01-01T00:00");
    let due = due(
        &schedule("* * * * * *"),
        &utc,
        Timestamp::MIN,
        now,
        MissedPolicy::All,
        3,
    );
    assert_eq!((due.ticks.len(), due.ticks[2].at), (3, now));
}

proptest! {
    /// What makes it safe to replace the plan together with storing the ticks.
    #[test]
    fn ticks_lie_between_plan_and_now_and_the_next_plan_lies_ahead(
        text in prop::sample::select(vec!["* * * * *", "*/7 1-5 * * *", "30 2 * * *", "every 90 minutes", "15 * * * * *"]),
        zone_name in prop::sample::select(vec!["UTC", "America/New_York", "Australia/Lord_Howe"]),
        planned in 1_700_000_000_000_000_i64..1_800_000_000_000_000,
        waited in 0_i64..100_000_000_000,
        limit in 1_usize..20,
        policy in prop::sample::select(ALL.to_vec()),
    ) {
        let (planned, now) = (Timestamp(planned), Timestamp(planned + waited));
        let due = due(&schedule(text), &zone(zone_name), planned, now, policy, limit);
        prop_assert!(due.ticks.iter().all(|tick| planned <= tick.at && tick.at <= now));
        prop_assert!(due.ticks.windows(2).all(|pair| pair[0].at < pair[1].at));
        let most = if policy == MissedPolicy::All { limit } else { 1 };
        prop_assert!(due.ticks.len() <= most);
        prop_assert!(due.next.unwrap() > now);
    }
}
