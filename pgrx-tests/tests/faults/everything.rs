//! Every place fails once, in one run.

use pg_hooks_tests::{checkout, wait_until};

use crate::places::PLACES;
use crate::village::{LATE, Village};

/// What users' sessions do, what must be told what to strike at, and bugs that are put in.
const ELSEWHERE: [&str; 9] = [
    "attempt: die",
    "bug: mark too high",
    "bug: sent twice",
    "message: decode",
    "random: fill",
    "session: memory",
    "session: query",
    "session: statement",
    "session: transform",
];

/// Whether it is PostgreSQL that refuses, so that the plan may give an SQLSTATE or a panic.
fn is_of_the_server(place: &str) -> bool {
    let kinds = ["commit: ", "wait: ", "wal: ", "worker: connect", "worker: lead"];
    place.contains("::") || kinds.iter().any(|kind| place.starts_with(kind))
}

#[test]
fn what_is_not_struck_at_here_is_struck_at_elsewhere() {
    let tests = checkout::root().join("pgrx-tests");
    let files = ["tests/faults", "src/chaos"].map(|folder| std::fs::read_dir(tests.join(folder)).unwrap());
    let others = files
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("everything.rs"));
    let plans: String = others
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for place in ELSEWHERE {
        assert!(plans.contains(place), "{place}");
        assert!(PLACES.contains(&place), "{place}");
    }
}

/// What became of the messages of each queue, by state, but for those that are made again and again. Whose last
/// attempt may be one that was made to fail has no other cause of death.
const OUTCOMES: &str = "
    select string_agg(o.name || ' ' || o.state || ' ' || o.count, ', ' order by o.name, o.state) from (
      select q.name, l.state, count(*) from hooks.message_log as l join hooks.queue as q on q.id = l.queue_id
      where q.name not in ('ops', 'ticks', 'tried') group by 1, 2
      union all
      select coalesce(q.name, 'none'), case when q.name in ('doomed', 'https') then 'dead' else d.error_class end, count(*) from hooks.dead_letter as d
      left join hooks.queue as q on q.id = d.queue_id group by 1, 2) as o";

/// Has every place fail once, those of the server with this SQLSTATE.
fn fail_everywhere(sqlstate: &str) {
    let mut village = Village::found();
    let started: String = village.site.value("select pg_postmaster_start_time()::text");
    let places: Vec<&str> = PLACES
        .iter()
        .copied()
        .filter(|place| !ELSEWHERE.contains(place))
        .collect();
    let plan = places.iter().map(|place| {
        if is_of_the_server(place) {
            format!("{place}={sqlstate}")
        } else {
            (*place).to_owned()
        }
    });
    village.cluster.set_faults(&plan.collect::<Vec<_>>().join(", "));
    village.live();
    wait_until("every place to have struck", LATE, || {
        let struck = village.cluster.struck();
        let is_left = |place: &&&str| !struck.iter().any(|(struck, _)| struck == *place);
        let left: Vec<_> = places.iter().filter(is_left).collect();
        if left.is_empty() {
            return Ok(());
        }
        village.go_on();
        Err(format!("{left:?}"))
    });
    // Whatever was parked is read again by the next leader.
    village.go_on();
    village.settle();
    assert_eq!(
        village.site.value::<String>(OUTCOMES),
        "asleep cancelled 1, doomed dead 1, ended expired 1, events delivered 1, gone delivered 1, held cancelled 1, held delivered 1, \
         https dead 1, keyed delivered 2, large delivered 1, named delivered 1, none queue_dropped 1, plain delivered 4, \
         plain unreadable 1, short expired 1, sick delivered 4, signed delivered 1"
    );
    assert_eq!(
        village
            .site
            .value::<String>("select pg_postmaster_start_time()::text"),
        started
    );
    let log = village.cluster.log();
    assert!(
        !log.contains("was terminated by signal") && !log.contains("reinitializing"),
        "no process crashed"
    );
}

#[test]
fn every_step_fails_once_with_an_error_of_the_system() {
    fail_everywhere("58030");
}

#[test]
fn every_step_fails_once_for_a_row() {
    fail_everywhere("22000");
}

#[test]
fn every_step_fails_once_for_a_lock() {
    fail_everywhere("55P03");
}

#[test]
fn every_step_panics_once() {
    fail_everywhere("panic");
}

#[test]
fn every_step_fails_once_for_want_of_memory() {
    fail_everywhere("53200");
}
