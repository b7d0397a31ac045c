//! Many messages, each exactly once.

use std::collections::HashMap;
use std::time::Duration;

use pg_hooks_tests::{Receiver, wait_until};

use crate::site::Site;

const MESSAGES: usize = 20_000;

#[test]
fn twenty_thousand_messages_arrive_exactly_once_each() {
    let mut site = Site::with(Receiver::counting());
    site.queue("q", "");
    // In transactions of all sizes, and by every way to send.
    for (from, to) in [(1, 1), (2, 100), (101, 5_000)] {
        site.run(&format!(
            "select hooks.send('q', n::text) from generate_series({from}, {to}) as n"
        ));
    }
    site.run("select hooks.send_batch('q', array(select n::text from generate_series(5001, 10000) as n))");
    site.run(
        "insert into hooks.message (queue_id, body)
         select id, n::text from hooks.queue, generate_series(10001, 19000) as n",
    );
    site.run(
        "do $$ begin for n in 19001..20000 loop perform hooks.send('q', n::text); commit; end loop; end $$",
    );
    let deadline = Duration::from_secs(60);
    wait_until("the table to be empty", deadline, || {
        let left: i64 = site.value("select count(*) from hooks.message");
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} messages left"))
        }
    });
    let mut counts: HashMap<i64, u32> = HashMap::new();
    for arrival in site.receiver.arrivals() {
        assert_eq!(arrival.attempt, 1);
        *counts.entry(arrival.message_id).or_default() += 1;
    }
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!((counts.len(), repeated), (MESSAGES, vec![]));
    let log = site.row(
        "select count(*), count(distinct id) from hooks.message_log where state = 'delivered' and attempts = 1",
        &[],
    );
    assert_eq!(
        (log.get::<_, i64>(0), log.get::<_, i64>(1)),
        (MESSAGES as i64, MESSAGES as i64)
    );
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message_log"),
        MESSAGES as i64
    );
    let attempts =
        "select count(*) from hooks.attempt where attempt = 1 and status = 200 and error_class is null";
    assert_eq!(site.value::<i64>(attempts), MESSAGES as i64);
}
