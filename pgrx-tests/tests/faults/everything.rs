//! Every place fails once, in one run.

use pg_hooks_tests::wait_until;

use crate::places::PLACES;
use crate::village::{LATE, Village};

/// What users' sessions do, and what must be told what to strike at.
const ELSEWHERE: [&str; 4] = [
    "attempt: die",
    "message: decode",
    "random: fill",
    "session: statement",
];

fn is_sql(place: &str) -> bool {
    place.contains("::") || place.starts_with("commit: ")
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

/// Has every place fail once, statements and commits with this SQLSTATE.
fn fail_everywhere(sqlstate: &str) {
    let mut village = Village::found();
    let started: String = village.site.value("select pg_postmaster_start_time()::text");
    let places: Vec<&str> = PLACES
        .iter()
        .copied()
        .filter(|place| !ELSEWHERE.contains(place))
        .collect();
    let plan = places.iter().map(|place| {
        if is_sql(place) {
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
        "asleep cancelled 1, doomed dead 1, ended expired 1, events delivered 1, gone delivered 1, held delivered 1, \
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
