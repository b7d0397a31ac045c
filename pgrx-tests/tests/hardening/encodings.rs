//! Databases that are not in UTF-8.

use crate::site::Site;

#[test]
fn text_that_cannot_be_utf8_becomes_a_dead_letter_and_stops_no_other() {
    let mut site = Site::encoded("SQL_ASCII");
    site.queue("copy", "");
    site.queue("broken", ", max_in_flight => 1, dead_letter_queue => 'copy'");
    site.queue("well", "");
    site.run(
        "begin;
         select hooks.send('broken', 'before');
         select hooks.send_batch('broken', array[E'caf\\351', E'\\377', 'between']);
         insert into hooks.message (queue_id, body)
           select id, repeat(E'caf\\351', 10000) from hooks.queue where name = 'broken';
         select hooks.send('broken', E'\\303'), hooks.send('broken', 'after'), hooks.send('well', 'x');
         commit",
    );
    assert_eq!(site.arrival("well").text(), "x");
    let texts: Vec<String> = site
        .arrivals("broken", 3)
        .iter()
        .map(|r| r.text().to_owned())
        .collect();
    assert_eq!(texts, ["before", "between", "after"]);
    // Four, and their copies, which are as unreadable.
    assert_eq!(site.dead_letters(8), ["unreadable"; 8]);
    site.wait_until("select not exists (select from hooks.message)");
    let kept: i64 = site.value("select count(*) from hooks.dead_letter where body = E'caf\\351'");
    assert_eq!(kept, 2, "with its body");
    site.send("broken", "goes on");
    site.arrivals("broken", 4);
}

#[test]
fn names_that_are_not_utf8_are_refused_in_good_order() {
    let mut site = Site::encoded("SQL_ASCII");
    let mut crude = Vec::new();
    for call in [
        "select hooks.send(E'caf\\351', 'x')",
        "select hooks.create_queue('q', E'https://example.com/caf\\351')",
        "select hooks.create_queue('q', 'https://example.com/', headers => E'{\"a\": \"caf\\351\"}')",
        "select hooks.pause(E'caf\\351')",
    ] {
        let refused = site.refusal(call);
        let in_order = ["22023", "22021", "42704"].contains(&refused.code.as_str());
        if !in_order || refused.detail.is_some() {
            crude.push((call, refused.code));
        }
    }
    assert_eq!(crude, [], "calls that failed in another way");
}

#[test]
fn text_of_a_latin1_database_arrives_as_utf8() {
    let mut site = Site::encoded("LATIN1");
    let queue = "q";
    site.queue(queue, ", description => 'für Bücher'");
    let large = "né ".repeat(10_000);
    for body in ["café", "{\"name\": \"Zoë\"}", &large] {
        site.send(queue, body);
    }
    let mut texts: Vec<String> = site
        .arrivals(queue, 3)
        .iter()
        .map(|r| r.text().to_owned())
        .collect();
    texts.sort_by_key(String::len);
    assert_eq!(texts, ["café", "{\"name\": \"Zoë\"}", &large]);
    site.wait_for_delivered(3);
}

#[test]
fn queue_of_a_latin1_database_may_have_a_name_that_is_not_ascii() {
    let mut site = Site::encoded("LATIN1");
    let url = site.receiver.url("/books");
    site.run("select hooks.create_queue('dead', 'https://example.com/')");
    site.run(&format!(
        "select hooks.create_queue('Bücher', '{url}', dead_letter_queue => 'dead')"
    ));
    site.send("Bücher", "première");
    site.run("select hooks.pause('Bücher'); select hooks.resume('Bücher')");
    assert_eq!(site.arrival("books").text(), "première");
}

#[test]
fn replicated_rows_that_cannot_be_utf8_stop_no_other_queue() {
    let mut site = Site::encoded("SQL_ASCII");
    site.queue("bad", "");
    site.queue("well", "");
    site.run(
        "begin;
         set local session_replication_role = replica;
         insert into hooks.message (queue_id, headers, body)
           select id, E'{\"a\": \"caf\\351\"}', 'x' from hooks.queue where name = 'bad';
         commit",
    );
    site.run("select hooks.send('bad', 'after'), hooks.send('well', 'x')");
    site.arrival("well");
    site.arrival("bad");
    assert_eq!(site.dead_letters(1), ["unreadable"]);
}

#[test]
fn replicated_queue_that_cannot_be_utf8_stops_no_other() {
    let mut site = Site::encoded("SQL_ASCII");
    site.queue("bad", "");
    site.queue("well", "");
    site.run(
        "begin;
         set local session_replication_role = replica;
         update hooks.queue set url = E'http://127.0.0.1/caf\\351' where name = 'bad';
         commit;
         select hooks.pause('bad'); select hooks.resume('bad')",
    );
    site.send("well", "x");
    site.arrival("well");
    let leader = site.leader();
    site.run(&format!("select pg_terminate_backend({leader})"));
    site.send("well", "y");
    site.arrivals("well", 2);
}
