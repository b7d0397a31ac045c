//! Clearing dead letters away.

use pg_hooks_tests::site::{Site, row};

use crate::letters::{bury, bury_with, left};

#[test]
fn purged_letter_is_in_the_log_as_dead() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let ids = bury(&mut site, "q", 3);
    assert_eq!(site.value::<i64>(&format!("select hooks.purge({})", ids[0])), 1);
    assert_eq!(site.value::<i64>(&format!("select hooks.purge({})", ids[0])), 0);
    assert_eq!(
        site.value::<i64>("select hooks.purge(queue => 'q', row_limit => 1)"),
        1
    );
    assert_eq!(left(&mut site), 1);
    let status = row(
        &mut site.client,
        &format!("select state, attempts from hooks.status({})", ids[0]),
    );
    assert_eq!((status.get::<_, &str>(0), status.get::<_, i32>(1)), ("dead", 3));
}

#[test]
fn purged_letters_no_longer_block_their_key() {
    let mut site = Site::new();
    site.queue("q", ", ordering_policy => 'block'");
    bury_with(&mut site, "q", 3, "'k'");
    site.run("select hooks.send('q', 'next', ordering_key => 'k')");
    site.run("select hooks.send('q', 'free')");
    assert_eq!(site.arrival("q").text(), "free");
    assert_eq!(
        site.value::<i64>("select hooks.purge(since => now() - interval '2 days')"),
        3
    );
    assert_eq!(site.arrivals("q", 2)[1].text(), "next");
}

#[test]
fn letters_of_dropped_queues_are_purged_with_the_others() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("other", "");
    bury(&mut site, "q", 2);
    bury(&mut site, "other", 2);
    site.run("select hooks.drop_queue('q')");
    assert_eq!(site.value::<i64>("select hooks.purge(since => '-infinity')"), 4);
}
