//! Every document is followed by a reader who types what it prints and compares what they see.
//!
//! - `ini`: lines of `postgresql.conf`, in place before the server starts;
//! - `sql`: run by psql, one block after the other, in one database per document;
//! - `output`: what psql prints in the end for the `sql` block before it;
//! - `receiver`: what the receiver prints for that block, in any order; without it, nothing arrives.

use std::time::Duration;

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};

use crate::blocks::{Block, blocks, documents};

/// Where the receiver of the documents listens. The test's own takes its place in `sql` blocks.
const PRINTED_URL: &str = "http://127.0.0.1:8080";
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn documents_run_as_printed() {
    let mut arrived = 0;
    for document in documents() {
        let blocks = blocks(&document);
        if blocks.iter().any(|block| block.language == "sql") {
            arrived += follow(&blocks);
        }
    }
    assert!(arrived > 0, "no document has its reader send anything");
}

/// Does what one document says; gives how many requests came of it.
fn follow(blocks: &[Block]) -> usize {
    let cluster = configured(blocks).start();
    cluster.create_database("tutorial");
    let receiver = receiver();
    let mut blocks = blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        if block.language != "sql" {
            continue;
        }
        let seen = receiver.count();
        let script = block.text.replace(PRINTED_URL, receiver.url("").as_str());
        let printed = cluster.psql("tutorial", &script);
        let printed = printed.unwrap_or_else(|failure| panic!("{block}: {failure}"));
        if let Some(output) = blocks.next_if(|next| next.language == "output") {
            let (printed, expected) = (trimmed(&printed), trimmed(&output.text));
            assert!(printed.ends_with(&expected), "{output}: psql printed\n{printed}");
        }
        let expected = blocks.next_if(|next| next.language == "receiver");
        let expected = expected.map_or_else(Vec::new, |expected| {
            sorted(expected.text.lines().map(str::to_owned))
        });
        // What a schedule is to send is not a message at once.
        let all = format_args!("{} requests of {block}", expected.len()).to_string();
        wait_until(all, DEADLINE, || receiver.count() >= seen + expected.len());
        wait_until_all_is_sent(&cluster, block);
        let arrived = sorted(receiver.all_requests()[seen..].iter().map(line));
        assert_eq!(arrived, expected, "{block}: what arrived, and what is printed");
    }
    receiver.count()
}

fn configured(blocks: &[Block]) -> pg_hooks_tests::cluster::Builder {
    let files = blocks.iter().filter(|block| block.language == "ini");
    let lines = files.flat_map(|block| block.text.lines());
    lines.fold(Cluster::builder(), |cluster, line| {
        let (name, value) = line
            .split_once(" = ")
            .unwrap_or_else(|| panic!("not a setting: {line}"));
        cluster.setting(name, value.trim_matches('\''))
    })
}

/// Answers as the receiver of the documents does.
fn receiver() -> Receiver {
    let receiver = Receiver::start();
    receiver.on("/flaky", Behaviour::failing(2, 503));
    receiver.on("/oders", Behaviour::status(404));
    receiver
}

/// As the reader does, who looks at the receiver before going on. In one statement, so that no tick becomes a
/// message in between.
fn wait_until_all_is_sent(cluster: &Cluster, block: &Block) {
    let mut client = cluster.connect("tutorial");
    wait_until(
        format_args!("all messages of {block} to be sent"),
        DEADLINE,
        || {
            let dropped = client.query_one("select to_regclass('hooks.message') is null", &[]);
            if dropped.unwrap().get(0) {
                return Ok(());
            }
            let waiting = "select (select count(*) from hooks.message as m
                                   where m.queue_id in (select q.id from hooks.queue as q where q.active)),
                                  (select count(*) from hooks.cron where active and next_run_at <= now()),
                                  (select coalesce(sum(in_flight), 0) from hooks.worker)";
            let row = client.query_one(waiting, &[]).unwrap();
            match [0, 1, 2].map(|column| row.get::<_, i64>(column)) {
                [0, 0, 0] => Ok(()),
                [messages, ticks, shown] => Err(format!(
                    "{messages} messages and {ticks} ticks wait, {shown} are shown as on the wire"
                )),
            }
        },
    );
}

/// A request as the receiver of the documents prints it.
fn line(request: &Received) -> String {
    format!(
        "{}, attempt {}: {}",
        request.path,
        request.attempt().unwrap_or(0),
        request.text()
    )
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// Without what nobody sees: blanks at the ends of lines, and the last line end.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}
