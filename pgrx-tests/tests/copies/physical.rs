//! Copies of whole servers, which cannot be told apart.

use pg_hooks_tests::cluster::Signal;
use pg_hooks_tests::site::{row, run, value};
use pg_hooks_tests::{Receiver, cluster, wait_until};

use crate::scene::{SOON, assert_silent, copy_check, original, send_some, server, wait_for_state};

#[test]
fn base_backup_that_is_started_paused_sends_nothing_until_it_is_adopted() {
    let primary = server();
    let receiver = Receiver::start();
    let mut source = original(&primary, &receiver, "original");
    send_some(&mut source);
    let copy = primary.backup().setting("hooks.start_paused", "on").start();
    let mut client = copy.connect("original");
    wait_for_state(&mut client, "held: paused");
    assert_eq!(
        copy_check(&mut client),
        "fail: hooks.start_paused is on: nothing is sent, and 2 messages are held"
    );
    assert_silent(&receiver);
    let adopted = row(&mut client, "select was, queues, to_send from hooks.adopt()");
    assert_eq!(adopted.get::<_, String>(0), "paused");
    assert_eq!([adopted.get::<_, i64>(1), adopted.get(2)], [0, 2]);
    receiver.wait_for("/q", 2, SOON);
    wait_for_state(&mut client, "leading");

    // A crash of a backend is no new start.
    let pid: i32 = value(&mut client, "select pg_backend_pid()");
    let mut witness = copy.connect("original");
    assert!(cluster::signal(pid, Signal::KILL));
    wait_until("the server to end all sessions", SOON, || {
        witness.batch_execute("select 1").is_err()
    });
    let mut client = wait_until("the server to come back", SOON, || {
        copy.try_connect("postgres", "original").ok()
    });
    wait_for_state(&mut client, "leading");
    drop(client);
    copy.restart();
    wait_for_state(&mut copy.connect("original"), "held: paused");
    // Switched off, it holds nothing any more.
    copy.reload(&[("hooks.start_paused", "off")]);
    wait_for_state(&mut copy.connect("original"), "leading");
}

#[test]
fn running_server_that_is_told_to_pause_sends_nothing_more_until_it_is_adopted() {
    let cluster = server();
    let receiver = Receiver::start();
    let mut client = original(&cluster, &receiver, "original");
    run(&mut client, "select hooks.release('0')");
    wait_for_state(&mut client, "leading");
    cluster.reload(&[("hooks.start_paused", "on")]);
    wait_for_state(&mut client, "held: paused");
    run(&mut client, "select hooks.send('q', 'held')");
    assert_silent(&receiver);
    let adopted = row(
        &mut client,
        "select to_send, cancelled from hooks.adopt(waiting => 'cancel')",
    );
    assert_eq!([adopted.get::<_, i64>(0), adopted.get(1)], [0, 1]);
    run(&mut client, "select hooks.send('q', 'sent')");
    assert_eq!(receiver.wait_for("/q", 1, SOON)[0].text(), "sent");
}
