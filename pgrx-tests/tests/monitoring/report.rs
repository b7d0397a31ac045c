//! The page about everything, as a browser shows it.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Site, refusal, value};

use crate::browser::{Scheme, look};

/// Names and answers that a stranger would think of.
const HOSTILE: [&str; 6] = [
    "<script>parent.hacked = 1</script>",
    "\"><img src=x onerror=\"parent.hacked = 1\">",
    "'-alert(1)-' `${1}` &lt;b&gt; &#x3C;i&#x3E;",
    "</title></style></svg><iframe src=\"https://example.com/\"></iframe>",
    "\u{202e}gpj.exe\u{2066}\u{200b}",
    "\u{1f980}\u{fc}\u{4f60}\u{597d}",
];

fn site_with_everything() -> Site {
    let mut site = Site::new();
    site.receiver.on("/broken", Behaviour::status(500));
    site.queue("orders", "");
    site.queue("broken", ", max_attempts => 1, breaker_threshold => null");
    site.queue("paused", ", active => false");
    site.run(
        "select hooks.send_batch('orders', array_fill('x'::text, array[500]));
         select hooks.send_batch('broken', array_fill('x'::text, array[5]));
         select hooks.send_batch('paused', array_fill('x'::text, array[1234]));
         select hooks.schedule('nightly', 'orders', '30 4 * * *', 'x'::text, timezone => 'Europe/Berlin')",
    );
    site.wait_until("select delivered >= 500 and dead = 5 from hooks.stats");
    site
}

/// Statistics of an hour, so that there is something to see. The minute in which the messages were
/// sent may have passed already, and then the worker has counted it.
fn fill_an_hour(site: &mut Site) {
    site.run(
        "insert into hooks.tally
         select q.id, 'minute', date_bin('1 minute', now() - n * interval '1 minute', 'epoch'),
                100, 5 + n % 7, (90 + 60 * sin(n / 6.0))::bigint, 0, 0, 0, 0,
                decode('01' || case when n % 9 = 0 then 'a801' else '9001' end || '64', 'hex'), decode('01900164', 'hex')
         from generate_series(1, 59) as n, (select id from hooks.queue union all select 0) as q
         on conflict do nothing",
    );
}

#[test]
fn page_is_complete_in_itself_on_phones_and_desks_by_day_and_by_night() {
    let mut site = site_with_everything();
    fill_an_hour(&mut site);
    let page: String = site.value("select hooks.report()");
    if let Some(file) = std::env::var_os("PG_HOOKS_KEEP_REPORT") {
        std::fs::write(file, &page).expect("the report is kept");
    }
    assert!(page.is_ascii() && page.starts_with("<!doctype html>"));
    assert!(page.contains("default-src 'none'"));
    for (width, scheme) in [
        (360, Scheme::Light),
        (360, Scheme::Dark),
        (1280, Scheme::Light),
        (1280, Scheme::Dark),
    ] {
        let seen = look(&page, width, scheme);
        assert_eq!(seen["width"], width, "{scheme:?}");
        assert_eq!(seen["contents"], width, "it is wider than the screen: {scheme:?}");
        assert_eq!(seen["requests"].as_array().map(Vec::len), Some(0), "{seen}");
        assert_eq!((&seen["scripts"], &seen["links"]), (&0.into(), &0.into()));
        let (ground, ink) = (brightness(&seen["ground"]), brightness(&seen["ink"]));
        assert_eq!(
            ground > ink,
            scheme == Scheme::Light,
            "{} on {}",
            seen["ink"],
            seen["ground"]
        );
        assert_eq!(seen["charts"], 8);
        let text = seen["text"].as_str().unwrap_or_default();
        for expected in [
            "orders",
            "paused",
            "1\u{2009}234",
            "receiver answered 500",
            "nightly",
            "30 4 * * *",
            "dead_letters",
        ] {
            assert!(text.contains(expected), "{expected} is not seen: {text}");
        }
    }
}

/// Of a colour as browsers write it: `rgb(1, 2, 3)`.
fn brightness(colour: &serde_json::Value) -> u32 {
    let colour = colour.as_str().unwrap_or_default();
    colour
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse::<u32>().ok())
        .sum()
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let mut site = Site::new();
    site.receiver.on("/x", Behaviour::status(500));
    let url = site.receiver.url("/x");
    for (n, text) in HOSTILE.iter().enumerate() {
        let create = "select hooks.create_queue($1, $2, max_attempts => 1, breaker_threshold => null)";
        site.client
            .execute(create, &[text, &url])
            .expect("the queue is made");
        site.client
            .execute("select hooks.send($1, 'x'::text)", &[text])
            .expect("the message is stored");
        let schedule = "select hooks.schedule($1, $2, '30 4 * * *', 'x'::text)";
        site.client
            .execute(schedule, &[&format!("{n}{text}"), text])
            .expect("the schedule is made");
    }
    site.wait_until("select dead >= 6 from hooks.stats");
    let spoil = "update hooks.dead_letter as d set last_error = q.name, error_class = q.name from hooks.queue as q where q.id = d.queue_id;
                 update hooks.queue_total as t set last_error = q.name from hooks.queue as q where q.id = t.queue_id;
                 insert into hooks.queue_state (queue_id, state, since, reason) select q.id, 'open', now(), q.name from hooks.queue as q";
    site.run(spoil);
    let page: String = site.value("select hooks.report()");
    let seen = look(&page, 360, Scheme::Light);
    assert_eq!(seen["hacked"], false);
    assert_eq!(
        (&seen["scripts"], &seen["handlers"], &seen["links"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(seen["contents"], 360);
    let text = seen["text"].as_str().unwrap_or_default();
    for shown in &HOSTILE[..4] {
        assert!(text.contains(shown), "{shown} is not seen as it is: {text}");
    }
    assert!(text.contains(HOSTILE[5]));
    assert!(
        !text.contains('\u{202e}') && text.contains("\u{fffd}gpj.exe"),
        "{text}"
    );
}

#[test]
fn report_of_an_empty_database_says_so() {
    let mut site = Site::new();
    let seen = look(&site.value::<String>("select hooks.report()"), 360, Scheme::Light);
    let text = seen["text"].as_str().unwrap_or_default();
    assert!(text.contains("There is no queue yet"), "{text}");
}

#[test]
fn report_is_bounded_however_many_queues_there_are() {
    let mut site = Site::new();
    site.run(
        "insert into hooks.queue (name, url) select format('queue %s', n), 'http://127.0.0.1:1024/' from generate_series(1, 3000) as n",
    );
    fill_an_hour(&mut site);
    let page: String = site.value("select hooks.report()");
    assert!(page.len() < 400_000, "{} bytes", page.len());
    assert!(page.contains("And 2&#x2009;976 more queues"));
}

#[test]
fn report_is_for_readers() {
    let mut site = Site::new();
    let mut reader = site.connect_as_member("hooks_reader");
    assert!(value::<String>(&mut reader, "select hooks.report()").contains("</html>"));
    let mut sender = site.connect_as_member("hooks_sender");
    assert_eq!(refusal(&mut sender, "select hooks.report()").code, "42501");
}
