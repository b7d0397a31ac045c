use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, Scope};

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn soon() -> Instant {
    Instant::now() + SOON
}

fn eventually(condition: impl Fn() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "never came about");
        thread::sleep(Duration::from_millis(1));
    }
}

fn address(last: u8) -> Arc<[IpAddr]> {
    Arc::new([IpAddr::from([192, 0, 2, last])])
}

/// Lookups that count how often they ask, and wait for `release` to be dropped before they answer.
fn held() -> (Arc<Lookups>, Arc<AtomicUsize>, mpsc::Sender<()>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let lookups = Lookups::new(move |host| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = held.lock().expect("held").recv();
        if host == "unknown" {
            Err("no such host".to_owned())
        } else {
            Ok(address(1))
        }
    });
    (Arc::new(lookups), asked, release)
}

fn find_many<'scope>(
    scope: &'scope Scope<'scope, '_>,
    lookups: &'scope Arc<Lookups>,
    host: &'scope str,
    times: usize,
) {
    for _ in 0..times {
        scope.spawn(|| assert_eq!(lookups.find(host, soon()).ok(), Some(address(1))));
    }
}

#[test]
fn name_is_asked_for_once_and_remembered() {
    let (lookups, asked, release) = held();
    thread::scope(|scope| {
        find_many(scope, &lookups, "host", 10);
        drop(release);
    });
    assert_eq!(lookups.find("host", Instant::now()).ok(), Some(address(1)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn unknown_name_is_remembered_too() {
    let (lookups, asked, release) = held();
    drop(release);
    for _ in 0..3 {
        assert!(matches!(lookups.find("unknown", soon()), Err(Miss::NotFound(why)) if why == "no such host"));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn lookup_that_hangs_is_given_up_at_the_deadline_and_lands_later() {
    let (lookups, asked, release) = held();
    assert!(matches!(
        lookups.find("host", Instant::now() + Duration::from_millis(20)),
        Err(Miss::TooSlow)
    ));
    drop(release);
    assert_eq!(lookups.find("host", soon()).ok(), Some(address(1)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn hanging_lookups_take_a_bounded_number_of_threads() {
    let (lookups, asked, release) = held();
    let names: Vec<_> = (0..100).map(|number| format!("host{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            find_many(scope, &lookups, name, 1);
        }
        eventually(|| lookups.book().waiting.len() == 100 - MAX_THREADS);
        assert_eq!(lookups.book().threads, MAX_THREADS);
        drop(release);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 100);
    assert_eq!(lookups.book().threads, MAX_THREADS);
}

#[test]
fn names_that_nobody_waits_for_any_more_are_not_asked_for() {
    let (lookups, asked, release) = held();
    let names: Vec<_> = (0..MAX_THREADS).map(|number| format!("host{number}")).collect();
    thread::scope(|scope| {
        for name in &names {
            find_many(scope, &lookups, name, 1);
        }
        eventually(|| asked.load(Ordering::SeqCst) == MAX_THREADS);
        for number in 0..50 {
            let name = format!("given up {number}");
            assert!(matches!(lookups.find(&name, Instant::now()), Err(Miss::TooSlow)));
        }
        drop(release);
    });
    assert_eq!(lookups.find("last", soon()).ok(), Some(address(1)));
    assert_eq!(asked.load(Ordering::SeqCst), MAX_THREADS + 1);
}

#[test]
fn panic_is_an_answer() {
    let lookups = Arc::new(Lookups::new(|_| panic!("on purpose")));
    assert!(matches!(lookups.find("host", soon()), Err(Miss::NotFound(_))));
    assert!(matches!(lookups.find("other", soon()), Err(Miss::NotFound(_))));
}

#[test]
fn answers_age() {
    let since = Instant::now();
    let found = Known {
        answer: Ok(address(1)),
        since,
    };
    let missing = Known {
        answer: Err(String::new()),
        since,
    };
    let ages = |seconds| {
        let now = since + Duration::from_secs(seconds);
        (found.age(now), missing.age(now))
    };
    assert_eq!(ages(0), (Age::Fresh, Age::Fresh));
    assert_eq!(ages(5), (Age::Fresh, Age::Old));
    assert_eq!(ages(30), (Age::Usable, Age::Old));
    assert_eq!(ages(120), (Age::Old, Age::Old));
}

#[test]
fn usable_addresses_are_used_while_they_are_looked_up_again() {
    let (lookups, asked, release) = held();
    let Some(since) = Instant::now().checked_sub(FRESH) else {
        return;
    };
    lookups.book().known.insert(
        "host".to_owned(),
        Known {
            answer: Ok(address(2)),
            since,
        },
    );
    assert_eq!(lookups.find("host", soon()).ok(), Some(address(2)));
    drop(release);
    eventually(|| lookups.find("host", soon()).ok() == Some(address(1)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn failed_lookup_leaves_usable_addresses() {
    let lookups = Arc::new(Lookups::new(|_| Err("down".to_owned())));
    let Some(since) = Instant::now().checked_sub(FRESH) else {
        return;
    };
    lookups.book().known.insert(
        "host".to_owned(),
        Known {
            answer: Ok(address(2)),
            since,
        },
    );
    lookups.book().land("host", Err("down".to_owned()));
    assert_eq!(lookups.find("host", soon()).ok(), Some(address(2)));
}
