//! What a dead letter means for its key: skip lets the next go, block holds it back.

use pg_hooks_tests::Behaviour;

use super::{assert_held_at, bodies, send};
use crate::site::Site;

/// A queue "q" whose first message dies. Gives the ids of a1, which is dead, and of a2.
fn first_dies(site: &mut Site, policy: &str) -> (i64, i64) {
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue("q", &format!(", max_attempts => 1{policy}"));
    let first = send(site, "a", "a1");
    site.wait_for_state(first, "dead");
    (first, send(site, "a", "a2"))
}

const BLOCK: &str = ", ordering_policy => 'block'";

#[test]
fn dead_letter_lets_the_next_of_its_key_go_by_default() {
    let mut site = Site::settled();
    let (first, second) = first_dies(&mut site, "");
    site.wait_for_state(second, "delivered");
    site.run(&format!("select hooks.redrive({first})"));
    assert_eq!(bodies(&site, 3), ["a1", "a2", "a1"]);
}

#[test]
fn message_that_dies_with_others_waiting_lets_them_go_by_default() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(2, 500));
    site.queue("q", ", max_attempts => 1, active => false");
    for body in ["a1", "a2", "a3"] {
        send(&mut site, "a", body);
    }
    site.run("select hooks.resume('q')");
    assert_eq!(bodies(&site, 3), ["a1", "a2", "a3"]);
}

#[test]
fn blocking_dead_letter_holds_back_its_key_and_nothing_else() {
    let mut site = Site::settled();
    let (_, second) = first_dies(&mut site, BLOCK);
    let other = send(&mut site, "b", "b1");
    site.wait_for_state(other, "delivered");
    let unkeyed = site.send("q", "unkeyed");
    site.wait_for_state(unkeyed, "delivered");
    assert_held_at(&site, &["a1", "b1", "unkeyed"]);
    assert_eq!(site.state(second).as_deref(), Some("pending"));
}

#[test]
fn blocking_dead_letter_is_redriven_before_the_rest_of_its_key() {
    let mut site = Site::settled();
    let (first, _) = first_dies(&mut site, BLOCK);
    send(&mut site, "a", "a3");
    assert_held_at(&site, &["a1"]);
    site.run(&format!("select hooks.redrive({first})"));
    assert_eq!(bodies(&site, 4), ["a1", "a1", "a2", "a3"]);
}

#[test]
fn blocking_dead_letter_that_dies_again_blocks_again() {
    let mut site = Site::settled();
    let (first, _) = first_dies(&mut site, BLOCK);
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.run(&format!("select hooks.redrive({first})"));
    assert_held_at(&site, &["a1", "a1"]);
    site.wait_for_state(first, "dead");
    site.run(&format!("select hooks.redrive({first})"));
    assert_eq!(bodies(&site, 4), ["a1", "a1", "a1", "a2"]);
}

#[test]
fn deleting_the_blocking_dead_letter_lets_its_key_go() {
    let mut site = Site::settled();
    let (first, _) = first_dies(&mut site, BLOCK);
    send(&mut site, "a", "a3");
    assert_held_at(&site, &["a1"]);
    site.run(&format!("delete from hooks.dead_letter where id = {first}"));
    assert_eq!(bodies(&site, 3), ["a1", "a2", "a3"]);
}

#[test]
fn truncating_the_dead_letters_lets_their_keys_go() {
    let mut site = Site::settled();
    first_dies(&mut site, BLOCK);
    assert_held_at(&site, &["a1"]);
    site.run("truncate hooks.dead_letter");
    assert_eq!(bodies(&site, 2), ["a1", "a2"]);
}

#[test]
fn blocked_key_goes_on_when_the_policy_becomes_skip() {
    let mut site = Site::settled();
    first_dies(&mut site, BLOCK);
    send(&mut site, "a", "a3");
    assert_held_at(&site, &["a1"]);
    site.run("select hooks.alter_queue('q', ordering_policy => 'skip')");
    assert_eq!(bodies(&site, 3), ["a1", "a2", "a3"]);
}

#[test]
fn every_dead_letter_of_a_key_blocks_it() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::failing(2, 500));
    site.queue("q", ", max_attempts => 1");
    let dead = ["a1", "a2"].map(|body| send(&mut site, "a", body));
    dead.iter().for_each(|id| site.wait_for_state(*id, "dead"));
    site.run("select hooks.alter_queue('q', ordering_policy => 'block')");
    send(&mut site, "a", "a3");
    assert_held_at(&site, &["a1", "a2"]);
    site.run(&format!("select hooks.redrive({})", dead[0]));
    assert_held_at(&site, &["a1", "a2", "a1"]);
    site.run(&format!("select hooks.redrive({})", dead[1]));
    assert_eq!(bodies(&site, 5)[3..], ["a2", "a3"]);
}
