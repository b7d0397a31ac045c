use proptest::prelude::*;

use super::*;

fn refusal(text: &str) -> String {
    text.parse::<Schedule>().expect_err(text).to_string()
}

#[test]
fn refusal_names_field_and_reason() {
    let cases = [
        ("61 * * * *", "minute field: 61 is not between 0 and 59"),
        ("0 24 * * *", "hour field: 24 is not between 0 and 23"),
        ("0 0 0 * *", "day-of-month field: 0 is not between 1 and 31"),
        ("0 0 1 13 *", "month field: 13 is not between 1 and 12"),
        ("0 0 * * 8", "day-of-week field: 8 is not between 0 and 7"),
        ("60 0 0 * * *", "second field: 60 is not between 0 and 59"),
        ("5-64/30 * * * *", "minute field: 64 is not between 0 and 59"),
        (
            "99999999999 * * * *",
            "minute field: 99999999999 is not between 0 and 59",
        ),
        ("x * * * *", "minute field: \"x\" is not a number"),
        ("+5 * * * *", "minute field: \"+5\" is not a number"),
        ("? * * * *", "minute field: \"?\" is not a number"),
        ("0 0 L * *", "day-of-month field: \"L\" is not a number"),
        (
            "0 0 1 janu *",
            "month field: \"janu\" is neither a number nor a name",
        ),
        (
            "0 0 * * 5#2",
            "day-of-week field: \"5#2\" is neither a number nor a name",
        ),
        ("0 17-9 * * *", "hour field: range 17-9 runs backwards"),
        (
            "0 0 * * sat-mon",
            "day-of-week field: range sat-mon runs backwards",
        ),
        ("0 0 * * 5-0", "day-of-week field: range 5-0 runs backwards"),
        ("*/0 * * * *", "minute field: step is zero"),
        (
            "*/90 * * * *",
            "minute field: step 90 is longer than the field, which has 60 values",
        ),
        (
            "0 0 * * */8",
            "day-of-week field: step 8 is longer than the field, which has 7 values",
        ),
        ("*/*/2 * * * *", "minute field: \"*/2\" is not a number"),
        ("1, * * * *", "minute field: a value is missing"),
        ("5- * * * *", "minute field: a value is missing"),
        ("*/ * * * *", "minute field: a value is missing"),
        ("-5 * * * *", "minute field: a value is missing"),
        ("**  * * * *", "minute field: \"**\" is not a number"),
        ("", "schedule is empty"),
        ("  ", "schedule is empty"),
        ("5", "schedule has 1 field, not 5 or 6"),
        ("0 5 * *", "schedule has 4 fields, not 5 or 6"),
        ("0 0 5 * * * 2026", "schedule has 7 fields, not 5 or 6"),
        ("@reboot", "@reboot is not supported"),
        ("@every", "schedule \"@every\" is not known"),
        ("every", "interval is not a number and a unit"),
        ("every 5 minutes please", "interval is not a number and a unit"),
        (
            "every 5 fortnights",
            "interval: \"fortnights\" is not seconds, minutes, hours or days",
        ),
        ("every 0 seconds", "interval: \"0\" is not a number from 1"),
        ("every -1 seconds", "interval: \"-1\" is not a number from 1"),
        ("1.5 hours", "interval: \"1.5\" is not a number from 1"),
        ("every 367 days", "interval is longer than 366 days"),
        (
            "every 99999999999999999999 days",
            "interval is longer than 366 days",
        ),
        (
            "every 999999999999999999 days",
            "interval is longer than 366 days",
        ),
        (
            "0 0 30 2 *",
            "schedule never fires: none of its months has one of its days of the month",
        ),
        (
            "0 0 31 2,4,6,9,11 *",
            "schedule never fires: none of its months has one of its days of the month",
        ),
        (
            "0 0 30-31 feb */2",
            "schedule never fires: none of its months has one of its days of the month",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text), expected, "{text}");
        assert!(text.parse::<Schedule>().expect_err(text).hint().ends_with('.'));
    }
}

#[test]
fn long_text_is_refused_and_full_fields_are_not() {
    let list =
        |range: std::ops::RangeInclusive<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let (sixty, month) = (list(0..=59), list(1..=12));
    let text = format!(
        "{sixty} {sixty} {} {} {month} {}",
        list(0..=23),
        list(1..=31),
        list(0..=7)
    );
    assert_eq!(schedule(&text), schedule(&text));
    assert_eq!(refusal(&"0,".repeat(501)), "schedule is longer than 1000 bytes");
}

fn nearly_a_schedule() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[0-9]{1,3}",
        "[*/,\\-0-9a-z?#@]{0,6}",
        Just("*".to_owned()),
        Just("every".to_owned()),
        Just("sun".to_owned()),
        "[0-9]{1,2}-[0-9]{1,2}(/[0-9]{1,2})?",
        "\\*/[0-9]{1,2}",
        Just("minutes".to_owned()),
        "\\PC{0,3}",
    ];
    proptest::collection::vec(token, 0..8).prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof!["(?s).{0,80}", nearly_a_schedule()], after in any::<i64>()) {
        match text.parse::<Schedule>() {
            Ok(schedule) => {
                let next = schedule.next_after(Timestamp(after), &zone("America/New_York"));
                prop_assert!(next.is_none_or(|next| next.0 > after && next.0 % 1_000_000 == 0));
            }
            Err(CronError::Untranslatable(reason)) => prop_assert!(false, "{text}: {reason}"),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
