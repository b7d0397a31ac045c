//! The page of a report.

use super::chart;
use super::data::{Check, DeadLetter, Failure, Queue, Report, Schedule, Series, Totals, Window};
use super::html::Html;

/// Longest piece of text from outside that is shown.
const LONGEST: usize = 300;
/// Names are shown up to here.
const LONGEST_NAME: usize = 80;

/// No script, nothing from anywhere else: what is shown may come from strangers.
const HEAD: &str = concat!(
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">",
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; ",
    "base-uri 'none'; form-action 'none'\">",
    "<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<link rel=\"icon\" href=\"data:,\"><style>",
    include_str!("page.css"),
    "</style><title>pg_hooks: "
);

/// The page, complete in itself.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut html = Html::default();
    html.markup(HEAD)
        .text(&report.database)
        .markup("</title></head><body><main>");
    header(&mut html, report);
    checks(&mut html, &report.checks);
    totals(&mut html, &report.totals);
    windows(&mut html, &report.windows, &report.minutes);
    queues(&mut html, &report.queues, report.queue_count);
    failures(&mut html, &report.failures);
    dead_letters(&mut html, report);
    schedules(&mut html, &report.schedules, report.schedule_count);
    html.markup("</main></body></html>\n");
    html.into_string()
}

fn header(html: &mut Html, report: &Report) {
    html.markup("<header><h1>pg_hooks <span class=\"soft\">in</span> <bdi>");
    html.shortened(&report.database, LONGEST_NAME);
    html.markup("</bdi></h1><span class=\"soft\">");
    html.text(&report.made_at)
        .markup(" &middot; version ")
        .text(&report.version);
    html.markup("</span></header>");
}

fn checks(html: &mut Html, checks: &[Check]) {
    let wrong: Vec<&Check> = checks.iter().filter(|check| check.status != "ok").collect();
    html.markup("<ul>");
    if wrong.is_empty() {
        html.markup("<li><div class=\"row\"><span>All checks are well.</span><span class=\"badge ok\">ok</span></div></li>");
    }
    for check in wrong {
        html.markup("<li><div class=\"row\"><b>")
            .text(&check.check_name)
            .markup("</b>");
        badge(html, &check.status);
        html.markup("</div>");
        bidi(html, check.detail.as_deref().unwrap_or_default(), LONGEST);
        if let Some(hint) = &check.hint {
            html.markup("<div class=\"soft\">")
                .shortened(hint, LONGEST)
                .markup("</div>");
        }
        html.markup("</li>");
    }
    html.markup("</ul>");
}

/// A word in a coloured field; only words that are known have a colour.
fn badge(html: &mut Html, word: &str) {
    html.markup(match word {
        "ok" => "<span class=\"badge ok\">",
        "warn" => "<span class=\"badge warn\">",
        "fail" => "<span class=\"badge fail\">",
        "active" => "<span class=\"badge active\">",
        "failing" | "held" => "<span class=\"badge warn\">",
        "open" => "<span class=\"badge open\">",
        "disabled" => "<span class=\"badge disabled\">",
        _ => "<span class=\"badge\">",
    });
    html.shortened(word, LONGEST_NAME).markup("</span>");
}

fn bidi(html: &mut Html, text: &str, most: usize) {
    html.markup("<bdi>").shortened(text, most).markup("</bdi>");
}

fn totals(html: &mut Html, totals: &Totals) {
    html.markup("<h2>Now and since the beginning</h2><div class=\"grid\">");
    figure(html, "waiting", count(totals.live, totals.capped), "not finished");
    figure(html, "due", count(totals.due, totals.capped), "to be sent now");
    figure(html, "in flight", count(totals.in_flight, false), "on the wire");
    figure(
        html,
        "retrying",
        count(totals.retrying, totals.capped),
        "for another attempt",
    );
    figure(
        html,
        "scheduled",
        count(totals.scheduled, totals.capped),
        "for later",
    );
    figure(html, "delivered", count(totals.delivered, false), "messages");
    figure(html, "failed", count(totals.failed, false), "attempts");
    figure(html, "dead", count(totals.dead, false), "became dead letters");
    figure(html, "expired", count(totals.expired, false), "messages");
    figure(html, "cancelled", count(totals.cancelled, false), "messages");
    if let Some(rate) = totals.messages_per_minute {
        figure(
            html,
            "stored",
            format!("{}/min", compact(rate)),
            "messages, lately",
        );
    }
    html.markup("</div>");
}

fn figure(html: &mut Html, name: &'static str, value: String, about: &'static str) {
    html.markup("<div class=\"card figure\"><span class=\"soft\">")
        .markup(name);
    html.markup("</span><b>")
        .text(&value)
        .markup("</b><span class=\"soft\">");
    html.markup(about).markup("</span></div>");
}

fn windows(html: &mut Html, windows: &[Window], minutes: &Series) {
    html.markup("<h2>Lately</h2><div class=\"grid wide\">");
    html.markup("<div class=\"card whole\"><div class=\"row\"><h3>The last hour</h3><span class=\"soft\">deliveries and failures by the minute</span></div>");
    html.piece(&chart::bars(
        "Deliveries and failed attempts by the minute",
        &minutes.delivered,
        &minutes.failed,
    ));
    html.markup("<div class=\"soft\">latency that 95 % of the messages did not exceed</div>");
    html.piece(&chart::line(
        "95th percentile of the latency by the minute",
        &minutes.latency_p95_ms,
    ));
    html.markup("</div>");
    for window in windows {
        html.markup("<div class=\"card\"><h3>")
            .text(&window.period)
            .markup("</h3><dl>");
        entries(html, window);
        html.markup("</dl></div>");
    }
    html.markup("</div>");
}

fn entries(html: &mut Html, window: &Window) {
    entry(html, "delivered", count(window.delivered, false));
    entry(html, "attempts", count(window.attempts, false));
    entry(html, "success", share(window.success_rate));
    entry(html, "dead", count(window.dead, false));
    entry(
        html,
        "per minute",
        window.delivered_per_minute.map_or_else(nothing, compact),
    );
    entry(html, "p50", time(window.latency_p50_ms));
    entry(html, "p95", time(window.latency_p95_ms));
    entry(html, "p99", time(window.latency_p99_ms));
}

fn entry(html: &mut Html, name: &'static str, value: String) {
    html.markup("<div><dt>")
        .markup(name)
        .markup("</dt><dd>")
        .text(&value)
        .markup("</dd></div>");
}

fn queues(html: &mut Html, queues: &[Queue], all: u64) {
    html.markup("<h2>Queues</h2>");
    if queues.is_empty() {
        html.markup("<p>There is no queue yet: hooks.create_queue() makes one.</p>");
        return;
    }
    html.markup("<div class=\"grid wide\">");
    for queue in queues {
        self::queue(html, queue);
    }
    html.markup("</div>");
    more(html, queues.len(), all, "queues");
}

fn queue(html: &mut Html, queue: &Queue) {
    html.markup("<div class=\"card\"><div class=\"row\"><h3>");
    bidi(html, &queue.name, LONGEST_NAME);
    html.markup("</h3>");
    badge(html, &queue.state);
    html.markup("</div>");
    if let Some(reason) = &queue.reason {
        html.markup("<div class=\"soft\">");
        bidi(html, reason, LONGEST);
        html.markup("</div>");
    }
    let minutes = &queue.minutes;
    html.piece(&chart::bars(
        "Deliveries and failed attempts by the minute, last hour",
        &minutes.delivered,
        &minutes.failed,
    ));
    html.piece(&chart::line(
        "95th percentile of the latency by the minute, last hour",
        &minutes.latency_p95_ms,
    ));
    html.markup("<dl>");
    entry(html, "due", count(queue.due, queue.capped));
    entry(html, "oldest", queue.oldest_due.clone().unwrap_or_else(nothing));
    entry(html, "scheduled", count(queue.scheduled, queue.capped));
    entry(html, "retrying", count(queue.retrying, queue.capped));
    entry(html, "delivered", count(queue.delivered, false));
    entry(html, "dead", count(queue.dead, false));
    if let Some(window) = &queue.window {
        entry(html, "success", share(window.success_rate));
        entry(
            html,
            "per minute",
            window.delivered_per_minute.map_or_else(nothing, compact),
        );
        entry(html, "p50", time(window.latency_p50_ms));
        entry(html, "p99", time(window.latency_p99_ms));
    }
    html.markup("</dl></div>");
}

fn failures(html: &mut Html, failures: &[Failure]) {
    html.markup("<h2>Recent failures</h2>");
    if failures.is_empty() {
        html.markup("<p>No attempt failed within the last hour.</p>");
        return;
    }
    html.markup("<ul>");
    for failure in failures {
        html.markup("<li><div class=\"row\"><b>");
        bidi(html, &failure.queue, LONGEST_NAME);
        html.markup("</b><span class=\"soft\">")
            .text(&failure.at)
            .markup("</span></div>");
        cause(html, failure.error_class.as_deref(), failure.error.as_deref());
        html.markup("</li>");
    }
    html.markup("</ul>");
}

fn cause(html: &mut Html, class: Option<&str>, error: Option<&str>) {
    html.markup("<code>")
        .shortened(class.unwrap_or("failed"), LONGEST_NAME)
        .markup("</code> ");
    bidi(html, error.unwrap_or_default(), LONGEST);
}

fn dead_letters(html: &mut Html, report: &Report) {
    html.markup("<h2>Dead letters</h2>");
    if report.dead_letters.is_empty() {
        html.markup("<p>There is none.</p>");
        return;
    }
    html.markup("<ul>");
    for DeadLetter {
        id,
        queue,
        dead_at,
        attempts,
        error_class,
        last_error,
    } in &report.dead_letters
    {
        html.markup("<li><div class=\"row\"><b>message ")
            .text(&id.to_string())
            .markup(" of ");
        bidi(html, queue.as_deref().unwrap_or("a dropped queue"), LONGEST_NAME);
        html.markup("</b><span class=\"soft\">")
            .text(dead_at)
            .markup(", attempts: ");
        html.text(&attempts.to_string()).markup("</span></div>");
        cause(html, error_class.as_deref(), last_error.as_deref());
        html.markup("</li>");
    }
    html.markup("</ul>");
    let least = if report.dead_letters_capped {
        "more than "
    } else {
        ""
    };
    if report.dead_letter_count > report.dead_letters.len() as u64 {
        html.markup("<p>These are the latest of ").text(least);
        html.text(&count(report.dead_letter_count, false)).markup(".</p>");
    }
}

fn schedules(html: &mut Html, schedules: &[Schedule], all: u64) {
    html.markup("<h2>Schedules</h2>");
    if schedules.is_empty() {
        html.markup("<p>There is none.</p>");
        return;
    }
    html.markup("<ul>");
    for schedule in schedules {
        html.markup("<li><div class=\"row\"><b>");
        bidi(html, &schedule.name, LONGEST_NAME);
        html.markup("</b>");
        badge(html, if schedule.active { "active" } else { "paused" });
        html.markup("</div><code>")
            .shortened(&schedule.schedule, LONGEST_NAME)
            .markup("</code> ");
        html.markup("<span class=\"soft\">")
            .shortened(&schedule.timezone, LONGEST_NAME)
            .markup("</span> &rarr; ");
        bidi(html, schedule.target.as_deref().unwrap_or_default(), LONGEST_NAME);
        html.markup("<div class=\"soft\">next ")
            .text(schedule.next_run.as_deref().unwrap_or("never"));
        html.markup(" &middot; last ")
            .text(schedule.last_run.as_deref().unwrap_or("never"));
        html.markup("</div></li>");
    }
    html.markup("</ul>");
    more(html, schedules.len(), all, "schedules");
}

fn more(html: &mut Html, shown: usize, all: u64, what: &'static str) {
    let hidden = all.saturating_sub(shown as u64);
    if hidden > 0 {
        html.markup("<p>And ")
            .text(&count(hidden, false))
            .markup(" more ")
            .markup(what)
            .markup(".</p>");
    }
}

/// A number with a thin gap between thousands; with a plus if there may be more.
fn count(number: u64, capped: bool) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{2009}');
        }
        grouped.push(digit);
    }
    if capped {
        grouped.push('+');
    }
    grouped
}

fn compact(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => count(rate.round() as u64, false),
        rate if rate >= 10.0 => format!("{rate:.0}"),
        rate => format!("{rate:.1}"),
    }
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(nothing, |share| {
        // What is not all must not look like it.
        let percent = (share * 1000.0).floor() / 10.0;
        format!("{percent} %")
    })
}

fn time(ms: Option<f64>) -> String {
    ms.map_or_else(nothing, |ms| match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 7_200_000.0 => format!("{:.0} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    })
}

fn nothing() -> String {
    "\u{2013}".to_owned()
}

#[cfg(test)]
mod tests {
    use super::{compact, count, share, time};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(count(1_234_567, true), "1\u{2009}234\u{2009}567+");
        assert_eq!(count(999, false), "999");
        assert_eq!(compact(1234.5), "1\u{2009}235");
        assert_eq!(share(Some(0.9999)), "99.9 %");
        assert_eq!(share(Some(1.0)), "100 %");
        assert_eq!(share(None), "\u{2013}");
        let times = [
            (Some(0.26), "0.3 ms"),
            (Some(42.4), "42 ms"),
            (Some(1500.0), "1.5 s"),
            (Some(180_000.0), "3 min"),
        ];
        for (ms, expected) in times {
            assert_eq!(time(ms), expected);
        }
    }
}
