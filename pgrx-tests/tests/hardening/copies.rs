//! Dead letters of odd messages, and their copies in the dead-letter queue.

use pg_hooks_tests::Behaviour;

use crate::site::Site;

/// A site with queue "q", whose messages die at once, and its dead-letter queue "copy".
fn mortal() -> Site<'static> {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("copy", ", max_attempts => 1");
    site.queue(
        "q",
        ", max_attempts => 1, max_in_flight => 1, dead_letter_queue => 'copy'",
    );
    site
}

fn numbered_headers(count: usize) -> String {
    let headers: Vec<String> = (1..=count).map(|n| format!("\"x-{n}\": \"{n}\"")).collect();
    format!("{{{}}}", headers.join(", "))
}

#[test]
fn copy_of_a_message_with_null_for_headers_is_delivered() {
    let mut site = mortal();
    site.run("select hooks.send('q', 'x', headers => 'null'::jsonb)");
    let copy = site.arrival("copy");
    assert_eq!(
        (copy.text(), copy.header("hooks-dead-status")),
        ("x", Some("500"))
    );
    site.wait_for_delivered(1);
}

#[test]
fn copy_of_a_message_with_as_many_headers_as_allowed_is_delivered() {
    let mut site = mortal();
    for (place, count) in [60, 62, 64].into_iter().enumerate() {
        site.run(&format!(
            "select hooks.send('q', '{count}', headers => '{}')",
            numbered_headers(count)
        ));
        let copy = site.arrivals("copy", place + 1).pop().unwrap();
        assert_eq!(copy.text(), count.to_string());
        assert_eq!(
            copy.header(&format!("x-{count}")),
            Some(count.to_string().as_str())
        );
        assert_eq!(copy.header("hooks-dead-queue"), Some("q"));
    }
    site.wait_for_delivered(3);
}

#[test]
fn headers_of_an_earlier_death_give_way_in_whatever_case_they_are() {
    let mut site = mortal();
    site.run(
        r#"select hooks.send('q', 'x',
             headers => '{"Hooks-Dead-Queue": "theirs", "HOOKS-DEAD-MESSAGE": "0", "X-Kept": "1"}')"#,
    );
    let copy = site.arrival("copy");
    let named = |name: &str| {
        let values = copy
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(named("hooks-dead-queue"), ["q"]);
    assert_eq!(named("hooks-dead-message"), ["1"]);
    assert_eq!(named("x-kept"), ["1"]);
    site.wait_for_delivered(1);
}

#[test]
fn copy_that_died_too_can_be_redriven() {
    let mut site = mortal();
    site.receiver.on("/copy", Behaviour::failing(1, 500));
    site.run(&format!(
        "select hooks.send('q', 'x', headers => '{}')",
        numbered_headers(64)
    ));
    site.dead_letters(2);
    let redriven: i64 = site.value("select hooks.redrive(max(id)) from hooks.dead_letter");
    assert_eq!(redriven, 1);
    site.arrivals("copy", 2);
    site.wait_for_delivered(1);
}

#[test]
fn message_that_takes_the_id_of_a_dead_letter_dies_like_any_other() {
    let mut site = mortal();
    let first = site.send("q", "first");
    site.dead_letters(1);
    site.run(&format!(
        "insert into hooks.message (id, queue_id, body, headers)
         select {first}, id, 'second', '{{\"x-a\": \"b\"}}' from hooks.queue where name = 'q'"
    ));
    site.arrivals("copy", 2);
    site.receiver.on("/q", Behaviour::status(200));
    let third = site.send("q", "third");
    site.wait_until(&format!(
        "select exists (select from hooks.message_log where id = {third} and state = 'delivered')"
    ));
    let kept: String = site.value("select body || headers::text from hooks.dead_letter");
    assert_eq!(kept, "second{\"x-a\": \"b\"}", "the one that died last");
}

#[test]
fn message_of_a_dropped_queue_that_takes_the_id_of_a_dead_letter_is_kept() {
    let mut site = mortal();
    let first = site.send("q", "first");
    site.dead_letters(1);
    site.run(&format!(
        "insert into hooks.message (id, queue_id, body, due_at)
         select {first}, id, 'second', '2100-01-01' from hooks.queue where name = 'q';
         delete from hooks.queue where name = 'q'"
    ));
    site.wait_until("select error_class = 'queue_dropped' and body = 'second' from hooks.dead_letter");
}
