//! What is done to the first message of a key takes effect on the next at once.

use pg_hooks_tests::Behaviour;

use super::{NO_RETRY_SOON, assert_held_at, bodies, retry_now, send};
use crate::site::{Site, ms};

/// A queue "q" whose first message waits for a retry that is far. Gives the ids of a1 and of a2.
fn first_waits(site: &mut Site) -> (i64, i64) {
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", NO_RETRY_SOON);
    let first = send(site, "a", "a1");
    site.wait_for_state(first, "retrying");
    let second = send(site, "a", "a2");
    assert_held_at(site, &["a1"]);
    (first, second)
}

/// A queue "q" whose first message is on the wire and hangs. Gives the ids of a1 and of a2.
fn first_hangs(site: &mut Site) -> (i64, i64) {
    let script = vec![Behaviour::Hang, Behaviour::status(200)];
    first_flies(site, script)
}

/// A queue "q" whose first message is on the wire for a while and then fails. Gives the ids of a1 and
/// of a2.
fn first_fails(site: &mut Site) -> (i64, i64) {
    let fail = Behaviour::After(ms(400), Box::new(Behaviour::status(500)));
    first_flies(site, vec![fail, Behaviour::status(200)])
}

fn first_flies(site: &mut Site, script: Vec<Behaviour>) -> (i64, i64) {
    site.receiver.on("/q", Behaviour::Script(script));
    site.queue("q", NO_RETRY_SOON);
    let first = send(site, "a", "a1");
    site.arrival("q");
    (first, send(site, "a", "a2"))
}

/// Waits for the attempt of `later` and asserts that it did not begin before that of `earlier` had ended.
#[track_caller]
fn assert_one_after_the_other(site: &mut Site, earlier: i64, later: i64) {
    let (earlier, later) = (site.attempt(earlier), site.attempt(later));
    assert!(
        later.began >= earlier.ended(),
        "{later:?} began during {earlier:?}"
    );
}

#[test]
fn cancel_of_the_first_lets_the_next_go() {
    let mut site = Site::settled();
    let (first, _) = first_waits(&mut site);
    site.run(&format!("select hooks.cancel({first})"));
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
}

#[test]
fn plain_delete_of_the_first_lets_the_next_go() {
    let mut site = Site::settled();
    let (first, _) = first_waits(&mut site);
    site.run(&format!("delete from hooks.message where id = {first}"));
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
}

#[test]
fn truncate_of_the_messages_leaves_their_keys_free() {
    let mut site = Site::settled();
    first_waits(&mut site);
    site.run("truncate hooks.message");
    send(&mut site, "a", "a3");
    assert_eq!(bodies(&site, 2), ["a1", "a3"]);
    site.run("truncate hooks.message restart identity");
    send(&mut site, "a", "a4");
    assert_eq!(bodies(&site, 3), ["a1", "a3", "a4"]);
}

#[test]
fn first_that_gets_another_key_lets_the_next_go() {
    let mut site = Site::settled();
    let (first, _) = first_waits(&mut site);
    site.run(&format!(
        "update hooks.message set ordering_key = 'b' where id = {first}"
    ));
    // Every update of a message has its due time looked at; it is still far.
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
    send(&mut site, "b", "b2");
    assert_held_at(&site, &["a1", "a2"]);
    retry_now(&mut site);
    assert_eq!(bodies(&site, 4)[2..], ["a1", "b2"]);
}

#[test]
fn first_that_loses_its_key_lets_the_next_go() {
    let mut site = Site::settled();
    let (first, _) = first_waits(&mut site);
    site.run(&format!(
        "update hooks.message set ordering_key = null where id = {first}"
    ));
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
}

#[test]
fn first_that_is_put_off_holds_its_key_back_until_then() {
    let mut site = Site::settled();
    site.queue("q", ", active => false");
    let first = send(&mut site, "a", "a1");
    send(&mut site, "a", "a2");
    site.run(&format!(
        "update hooks.message set due_at = now() + interval '1 hour' where id = {first};
         select hooks.resume('q')"
    ));
    assert_held_at(&site, &[]);
    retry_now(&mut site);
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
}

#[test]
fn earlier_message_that_is_committed_late_goes_next() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", NO_RETRY_SOON);
    let mut late = site.connect();
    crate::site::run(
        &mut late,
        "begin; select hooks.send('q', 'a1', ordering_key => 'a')",
    );
    let second = send(&mut site, "a", "a2");
    send(&mut site, "a", "a3");
    site.wait_for_state(second, "retrying");
    crate::site::run(&mut late, "commit");
    assert_held_at(&site, &["a2", "a1"]);
    retry_now(&mut site);
    assert_eq!(bodies(&site, 4)[2..], ["a2", "a3"]);
}

#[test]
fn cancel_of_the_first_on_the_wire_lets_the_next_go_when_it_is_answered() {
    let mut site = Site::settled();
    let (first, second) = first_hangs(&mut site);
    site.run(&format!("select hooks.cancel({first})"));
    assert_held_at(&site, &["a1"]);
    site.receiver.release("/q");
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
    assert_one_after_the_other(&mut site, first, second);
}

#[test]
fn cancel_of_the_first_on_the_wire_lets_the_next_go_when_it_fails() {
    let mut site = Site::settled();
    let (first, second) = first_fails(&mut site);
    site.run(&format!("select hooks.cancel({first})"));
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
    assert_one_after_the_other(&mut site, first, second);
}

#[test]
fn truncate_under_a_message_on_the_wire_leaves_its_key_free_when_it_is_answered() {
    let mut site = Site::settled();
    first_hangs(&mut site);
    site.run("truncate hooks.message");
    send(&mut site, "a", "a3");
    assert_held_at(&site, &["a1"]);
    site.receiver.release("/q");
    assert_eq!(bodies(&site, 2), ["a1", "a3"]);
}

#[test]
fn truncate_under_a_message_on_the_wire_leaves_its_key_free_when_it_fails() {
    let mut site = Site::settled();
    first_fails(&mut site);
    site.run("truncate hooks.message");
    send(&mut site, "a", "a3");
    assert_eq!(bodies(&site, 2), ["a1", "a3"]);
}

/// Has a message on the wire change from key a to key b, with another of key b behind it. Gives the id
/// of that one.
fn change_key(site: &mut Site, id: i64) -> i64 {
    site.run(&format!(
        "update hooks.message set ordering_key = 'b' where id = {id}"
    ));
    send(site, "b", "b3")
}

#[test]
fn message_on_the_wire_that_gets_another_key_is_waited_for_by_both() {
    let mut site = Site::settled();
    let (first, second) = first_hangs(&mut site);
    let third = change_key(&mut site, first);
    assert_held_at(&site, &["a1"]);
    site.receiver.release("/q");
    bodies(&site, 3);
    assert_one_after_the_other(&mut site, first, second);
    assert_one_after_the_other(&mut site, first, third);
}

#[test]
fn message_that_fails_after_it_got_another_key_is_retried_before_the_rest_of_that() {
    let mut site = Site::settled();
    let (first, second) = first_fails(&mut site);
    change_key(&mut site, first);
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
    assert_one_after_the_other(&mut site, first, second);
    retry_now(&mut site);
    assert_eq!(bodies(&site, 4)[2..], ["a1", "b3"]);
}

#[test]
fn message_on_the_wire_that_moves_to_another_queue_is_waited_for_by_both() {
    let mut site = Site::settled();
    let (first, second) = first_hangs(&mut site);
    let other = site.queue("other", "");
    site.run(&format!(
        "update hooks.message set queue_id = {other} where id = {first}"
    ));
    let third: i64 = site.value("select hooks.send('other', 'a3', ordering_key => 'a')");
    assert_held_at(&site, &["a1"]);
    assert_eq!(site.arrived("other"), 0);
    site.receiver.release("/q");
    bodies(&site, 2);
    assert_one_after_the_other(&mut site, first, second);
    assert_one_after_the_other(&mut site, first, third);
}
