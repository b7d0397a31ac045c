//! What is kept and shown of messages, attempts and events in databases that are not in UTF-8.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::receiver::Answer;

use crate::site::Site;

/// What a receiver may say: nothing of it is text in all encodings, some of it in none.
const WORDS: &[u8] = b"no: caf\xe9 \xff\xfe \xe2\x82\xac \xf0\x9f\x94\xa8 \x00 \xc3";

/// An answer with such words for a header and a body.
fn odd(status: u16) -> Behaviour {
    let mut raw = format!("HTTP/1.1 {status} ").into_bytes();
    raw.extend(b"caf\xe9\r\nx-said: caf\xe9 \xe2\x82\xac \xf0\x9f\x94\xa8\r\n");
    raw.extend(b"content-type: text/plain; charset=caf\xe9\r\nconnection: close\r\n");
    raw.extend(format!("content-length: {}\r\n\r\n", WORDS.len()).into_bytes());
    raw.extend(WORDS);
    Behaviour::Raw(raw)
}

/// What people and programs look at. Each gives one value, as bytes: not every text reaches a client.
const VIEWS: [&str; 21] = [
    "select string_agg(a::text, '') from hooks.attempt as a",
    "select string_agg(l::text, '') from hooks.message_log as l",
    "select string_agg(d::text, '') from hooks.dead_letter as d",
    "select string_agg(d::text, '') from hooks.dead_letter as l, hooks.show_dead_letter(l.id) as d",
    "select string_agg(d::text, '') from hooks.list_dead_letters() as d",
    "select string_agg(a::text, '') from hooks.list_attempts() as a",
    "select string_agg(m::text, '') from hooks.list_messages() as m",
    "select string_agg(q::text, '') from hooks.list_queues() as q",
    "select string_agg(s::text, '') from hooks.list_subscriptions() as s",
    "select string_agg(m::text, '') from hooks.queue as q, hooks.queue_messages(q.name) as m",
    "select string_agg(e::text, '') from hooks.event as o, hooks.event_status(o.id) as e",
    "select string_agg(q::text, '') from hooks.queue_stats as q",
    "select string_agg(q::text, '') from hooks.queue_windows as q",
    "select string_agg(s::text, '') from hooks.stats as s",
    "select string_agg(h::text, '') from hooks.health() as h",
    "select string_agg(s::text, '') from hooks.queue_state as s",
    "select string_agg(s::text, '') from hooks.cron_status as s",
    "select string_agg(s::text, '') from hooks.message_state as s",
    "select string_agg(w::text, '') from hooks.worker as w",
    "select string_agg(p::text, '') from hooks.queue as q, hooks.preview(q.name, 'x') as p",
    "select hooks.report()",
];

/// Looks at everything, and asserts that it is text of the encoding as far as the encoding has a say.
fn assert_all_can_be_looked_at(site: &mut Site) {
    for view in VIEWS {
        let text = format!("select convert_to(coalesce(({view}), ''), getdatabaseencoding()::name)");
        let bytes: Vec<u8> = site.value(&text);
        let is_ascii_report = view.contains("report") && !bytes.is_ascii();
        assert!(!is_ascii_report, "the report is of one encoding");
    }
}

/// Sends through each way there is to a receiver with such answers, in a database whose words are these, written as
/// SQL; gives the site when all has come to its end.
fn village(encoding: &str, name: &str, body: &str) -> Site<'static> {
    let mut site = Site::encoded(encoding);
    site.receiver.on("/well", odd(200));
    site.receiver.on("/ill", odd(500));
    let (well, ill) = (site.receiver.url("/well"), site.receiver.url("/ill"));
    site.run(&format!(
        "select hooks.create_queue({name}, '{well}', keep_bodies => true, description => {body});
         select hooks.create_queue('copy', '{well}');
         select hooks.create_queue('ill', '{ill}', max_attempts => 2, retry_schedule => '{{0}}', dead_letter_queue => 'copy',
           headers => '{{\"X-Plain\": \"plain\"}}');
         select hooks.create_queue('ops', '{well}');
         select hooks.subscribe('order.*', {name}, envelope => 'standard', description => {body});
         select hooks.subscribe('hooks.**', 'ops', envelope => 'cloudevents');
         select hooks.schedule({name}, {name}, '0 0 29 2 *', {body})"
    ));
    site.run(&format!(
        "select hooks.send({name}, {body}), hooks.send('ill', {body}),
                hooks.send({name}, {body}, ordering_key => {body}, idempotency_key => {body});
         select hooks.publish('order.made', jsonb_build_object('said', {body})::text::jsonb,
           metadata => '{{\"said\": \"ascii\"}}', idempotency_key => {body})"
    ));
    // One dead letter, its copy, and the event that tells of it.
    assert_eq!(site.dead_letters(1), ["status"]);
    site.wait_until("select not exists (select from hooks.message)");
    site.wait_for_delivered(5);
    site
}

/// How `WORDS` and the headers are kept: bodies as they are, texts in ASCII.
fn assert_attempts_are_kept(site: &mut Site) {
    let bodies: Vec<Vec<u8>> = site
        .client
        .query("select distinct response from hooks.attempt", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(bodies, [WORDS]);
    let attempts: i64 = site.value("select count(*) from hooks.attempt");
    assert_eq!(attempts, 7);
    let said: Vec<String> = site
        .client
        .query(
            "select distinct response_headers ->> 'x-said' from hooks.attempt",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(said, ["caf? ??? ????"]);
}

#[test]
fn history_of_a_latin1_database_holds_what_receivers_say_in_any_encoding() {
    let mut site = village("LATIN1", "'Bücher'", "'café für Zoë'");
    assert_attempts_are_kept(&mut site);
    assert_all_can_be_looked_at(&mut site);
    let arrived: Vec<String> = site
        .receiver
        .requests("/well")
        .iter()
        .map(|request| request.text().to_owned())
        .collect();
    assert_eq!(arrived.len(), 5);
    assert_eq!(
        arrived
            .iter()
            .filter(|text| text.contains("café für Zoë"))
            .count(),
        4,
        "{arrived:?}"
    );
    let shown: String = site.value("select string_agg(name, '') from hooks.list_queues()");
    assert!(shown.contains("Bücher"), "{shown}");
    let previewed: Vec<u8> = site.value("select request_body from hooks.preview('Bücher', 'café')");
    assert_eq!(previewed, "café".as_bytes(), "as it would be sent");
    let report: String = site.value("select hooks.report()");
    assert!(report.contains("B&#xFC;cher"), "names in the report");
    let tested: Vec<u8> = site.value("select response from hooks.test_queue('Bücher', 'é')");
    assert_eq!(tested, WORDS);
    let redriven: i64 = site.value("select hooks.redrive(queue => 'ill')");
    assert_eq!(redriven, 1);
    assert_eq!(site.dead_letters(1), ["status"]);
}

/// Bytes that are text in LATIN1: in UTF-8 they are none, so such a message is a dead letter.
#[test]
fn history_of_a_database_without_encoding_holds_what_receivers_say() {
    let mut site = village("SQL_ASCII", "'plain'", "'caf\u{e9} \u{20ac} \u{1f528}'");
    assert_attempts_are_kept(&mut site);
    assert_all_can_be_looked_at(&mut site);
    let texts = site.receiver.requests("/well");
    let whole = texts
        .iter()
        .filter(|request| request.text().contains("café € 🔨"))
        .count();
    assert_eq!(whole, 4, "UTF-8 passes through as it is");
    site.run(
        "select hooks.send('plain', E'caf\\351');
         select hooks.publish('order.made', jsonb_build_object('said', E'caf\\351'))",
    );
    assert_eq!(site.dead_letters(3), ["status", "unreadable", "unreadable"]);
    assert_all_can_be_looked_at(&mut site);
    site.run("select hooks.send('plain', 'after')");
    site.wait_until("select not exists (select from hooks.message)");
}

#[test]
fn each_name_and_address_that_cannot_be_told_in_the_encoding_is_shown_with_question_marks() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let mut site = Site::encoded(encoding);
        let answer = Answer::new(302).header("location", "https://ex\u{e4}mple.com/\u{20ac}");
        site.receiver.on("/moved", answer);
        site.queue("moved", ", max_attempts => 1");
        site.run("select hooks.send('moved', 'x')");
        assert_eq!(site.dead_letters(1), ["status"]);
        let row = site
            .client
            .query_one("select last_error from hooks.dead_letter", &[])
            .unwrap();
        assert!(row.get::<_, String>(0).is_ascii());
        assert_all_can_be_looked_at(&mut site);
    }
}
