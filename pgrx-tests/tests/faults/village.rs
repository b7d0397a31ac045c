//! A database in which everything happens that the worker does: each kind of queue, message, schedule and secret,
//! locks, days past, and a change of leaders.

use std::time::Duration;

use pg_hooks_tests::receiver::Answer;
use pg_hooks_tests::site::{Site, run};
use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Behaviour, Cluster, wait_until};

/// For all that is to be tried again after half a second, many times over.
pub const LATE: Duration = Duration::from_secs(120);

const RETRIES: &str = ", max_attempts => 50, min_backoff => '100 ms', max_backoff => '100 ms'";

pub struct Village {
    pub site: Site,
    pub cluster: &'static Cluster,
    round: u32,
}

impl Village {
    pub fn found() -> Village {
        let cluster = Cluster::builder()
            .faulty()
            .setting("hooks.rescan_interval", "300ms")
            .setting("hooks.dead_letter_retention", "1d")
            .setting("hooks.ca_file", "/etc/ssl/certs/ca-certificates.crt")
            .start();
        let cluster: &'static Cluster = Box::leak(Box::new(cluster));
        cluster.write_private("secrets/signing", &"s".repeat(40));
        let directory = cluster.private("secrets");
        cluster.reload(&[("hooks.secret_directory", &directory.to_string_lossy())]);
        let mut village = Village {
            site: Site::on(cluster),
            cluster,
            round: 0,
        };
        village.build();
        village
    }

    fn build(&mut self) {
        let site = &mut self.site;
        for name in [
            "plain", "keyed", "large", "events", "ops", "signed", "tried", "ticks", "asleep", "unsure",
        ] {
            site.queue(name, RETRIES);
        }
        let port = site.receiver.address().port();
        site.run(&format!(
            "select hooks.create_queue('named', 'http://localhost:{port}/named'{RETRIES});
             select hooks.create_queue('https', 'https://127.0.0.1:{port}/https', max_attempts => 3,
               min_backoff => '100 ms', max_backoff => '100 ms', breaker_min_requests => 10000);
             select hooks.pause('asleep')"
        ));
        site.queue("doomed", ", max_attempts => 1, breaker_min_requests => 10000");
        site.queue("broken", "");
        site.run(
            "set session_replication_role = replica;
             update hooks.queue set timeout = '10000000 years' where name = 'broken';
             reset session_replication_role",
        );
        site.queue("short", ", active => false, bury_expired => true");
        site.queue("ended", ", active => false");
        site.queue("held", RETRIES);
        site.queue("gone", RETRIES);
        site.queue(
            "sick",
            ", max_attempts => 50, min_backoff => '100 ms', max_backoff => '100 ms', breaker_min_requests => 3,
               breaker_open_time => '1 s', breaker_threshold => 0.1",
        );
        site.receiver.on("/plain", Answer::new(200).text("taken"));
        site.receiver.on("/doomed", Behaviour::status(500));
        site.run(
            "select hooks.subscribe('order.*', 'events', envelope => 'standard');
             select hooks.subscribe('hooks.**', 'ops', envelope => 'standard');
             select hooks.set_secret('signed', 'token', 'bearer'), hooks.set_secret_file('signed', 'signing')",
        );
    }

    /// Lets everything happen once.
    pub fn live(&mut self) {
        self.live_under_one_leader();
        self.change_leaders();
    }

    /// Lets happen what happens under one leader, once.
    pub fn live_under_one_leader(&mut self) {
        let round = self.round;
        self.round += 1;
        self.send(round);
        self.keep_a_row_locked();
        self.cancel_on_the_wire();
        self.leave_old_things(round);
        self.hold_a_queue();
    }

    fn send(&mut self, round: u32) {
        let site = &mut self.site;
        site.receiver.on("/sick", Behaviour::failing(3, 503));
        site.receiver.on("/gone", Behaviour::status(410));
        site.run(&format!(
            "begin;
             select hooks.send('plain', 'body {round}', expires_at => now() + interval '1 day') from generate_series(1, 3);
             select hooks.send('keyed', 'keyed ' || n, ordering_key => 'k') from generate_series(1, 2) as n;
             select hooks.send('large', repeat('large ', 10000));
             select hooks.publish('order.made', '{{\"n\": {round}}}');
             select hooks.send('signed', '{{}}'), hooks.send('named', 'x'), hooks.send('https', 'x'), hooks.send('doomed', 'x');
             select hooks.send('sick', 'x') from generate_series(1, 4);
             select hooks.send('gone', 'x');
             select hooks.schedule('tick', 'ticks', 'every 1 second', 'tick');
             select hooks.send('plain', 'once', idempotency_key => 'k{round}');
             commit;
             select hooks.cancel(hooks.send('asleep', 'x'));
             select hooks.send('short', 'x', expires_at => now() + interval '1 ms'), hooks.send('ended', 'x', expires_at => now() + interval '1 ms');
             select pg_sleep(0.05);
             select hooks.resume('short'), hooks.resume('ended')"
        ));
        // Messages that no queue has, and one whose headers cannot be read.
        site.run(
            "begin;
             set local session_replication_role = replica;
             insert into hooks.message (queue_id, body) values (999999, 'orphan');
             insert into hooks.message (queue_id, headers, body)
               select id, '[]', 'unreadable' from hooks.queue where name = 'plain';
             commit",
        );
        site.wait_until("select not active from hooks.queue where name = 'gone'");
        let _ = try_wait(Duration::from_secs(15), || {
            site.value::<bool>(
                "select exists (select from hooks.message_log as l join hooks.queue as q on q.id = l.queue_id
                                               where q.name = 'sick')",
            )
        });
        site.receiver.on("/gone", Behaviour::status(200));
        site.run("select hooks.resume('gone')");
    }

    /// A message that gets no answer yet; gives its id.
    fn put_on_the_wire(&mut self) -> i64 {
        let site = &mut self.site;
        site.receiver.on("/held", Behaviour::Hang);
        let before = site.arrived("held");
        let id: i64 = site.value("select hooks.send('held', 'x')");
        wait_until("the message to be in flight", LATE, || {
            site.arrived("held") > before
        });
        id
    }

    /// The result of a message in flight has to wait for a lock.
    fn keep_a_row_locked(&mut self) {
        let id = self.put_on_the_wire();
        let site = &mut self.site;
        let mut locker = site.connect();
        run(
            &mut locker,
            &format!("begin; select from hooks.message where id = {id} for update"),
        );
        site.receiver.on("/held", Behaviour::status(200));
        site.receiver.release("/held");
        site.run("select pg_sleep(1)");
        run(&mut locker, "commit");
    }

    /// An answer comes for a message that is over.
    fn cancel_on_the_wire(&mut self) {
        let id = self.put_on_the_wire();
        let site = &mut self.site;
        site.run(&format!("select hooks.cancel({id})"));
        site.receiver.on("/held", Behaviour::status(200));
        site.receiver.release("/held");
    }

    /// A queue lacks what it is to sign with, and then is to sign no more.
    fn hold_a_queue(&mut self) {
        for (signatures, held) in [("{v1}", true), ("{}", false)] {
            self.site.run(&format!(
                "select hooks.alter_queue('unsure', signatures => '{signatures}')"
            ));
            let shown = format!(
                "select {held} = exists (select from hooks.queue_state where queue_id = hooks.queue_id('unsure'))"
            );
            let _ = try_wait(Duration::from_secs(5), || self.site.value::<bool>(&shown));
        }
    }

    /// A day of history that is to come and one that is to go.
    fn leave_old_things(&mut self, round: u32) {
        let site = &mut self.site;
        let day = format!("(now() at time zone 'UTC')::date - {}", 20 + round);
        for relation in ["attempt", "message_log"] {
            site.run(&format!(
                "begin;
                 lock table only hooks.{relation} in share update exclusive mode;
                 lock table hooks.{relation}_default in access exclusive mode;
                 select hooks.add_history_day('{relation}', {day});
                 commit"
            ));
        }
        site.run(
            "do $$
             declare day regclass = (select max(i.inhrelid::regclass::text)::regclass from pg_inherits as i
                                     where i.inhparent = 'hooks.attempt'::regclass
                                       and i.inhrelid <> 'hooks.attempt_default'::regclass);
             begin
               execute format('alter extension pg_hooks drop table %s', day);
               execute format('drop table %s', day);
             end $$;",
        );
    }

    /// The next leader finds messages that were due before, and a queue that has failed for long, then once more,
    /// and then no more.
    fn change_leaders(&mut self) {
        self.site.receiver.on("/tried", Behaviour::failing(2, 500));
        self.site.run(
            "select hooks.pause('tried');
             select hooks.send('tried', 'x') from generate_series(1, 2);
             insert into hooks.queue_state (queue_id, state, since, reason, failing_since, last_failure_at)
             select id, 'failing', now(), 'test', now() - interval '1 day', now() - interval '2 h'
             from hooks.queue where name = 'tried'
             on conflict do nothing",
        );
        let leader = self.leader();
        self.site.run(&format!("select pg_terminate_backend({leader})"));
        let another = format!("select exists (select from hooks.worker where leader and pid <> {leader})");
        wait_until("another leader", LATE, || self.site.value::<bool>(&another));
        self.site.run("select hooks.resume('tried')");
        // What is parked waits for the leader after this one.
        let done =
            "select not exists (select from hooks.message as m join hooks.queue as q on q.id = m.queue_id
                                       where q.name = 'tried')";
        let _ = try_wait(Duration::from_secs(5), || self.site.value::<bool>(done));
    }

    /// A test of a queue, which fails if its worker cannot make it, and is no message; and an end of the leader.
    pub fn go_on(&mut self) {
        let test = "select hooks.test_queue('tried', timeout => interval '2 s')";
        let _ = self.site.client.batch_execute(test);
        self.hold_a_queue();
        self.change_leaders();
    }

    pub fn leader(&mut self) -> i32 {
        let site = &mut self.site;
        wait_until("a leader", LATE, || {
            let rows = site
                .client
                .query("select pid from hooks.worker where leader", &[]);
            rows.unwrap().first().map(|row| row.get(0))
        })
    }

    /// Waits until nothing waits any more.
    pub fn settle(&mut self) {
        let site = &mut self.site;
        site.run("select hooks.unschedule('tick')");
        let left = "select coalesce(string_agg(q.name || ': ' || m.attempt || ' ' || m.due_at, ', '), '')
                    from hooks.message as m left join hooks.queue as q on q.id = m.queue_id";
        wait_until("all messages to be finished", LATE, || {
            let left: String = site.value(left);
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}
