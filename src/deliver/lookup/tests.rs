use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, Scope};

use super::book::{AGING, FRESH, Known, NOT_FOUND_FRESH, PROVEN_THREADS, USABLE};
use super::*;

const SOON: Duration = Duration::from_secs(20);

fn soon() -> Instant {
    Instant::now() + SOON
}

fn unknown() -> Miss {
    Miss::NotFound("no such host".to_owned())
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
            Err(unknown())
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
        assert_eq!(lookups.find("unknown", soon()), Err(unknown()));
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

/// How many names hang that were never asked for.
const OTHERS: usize = MAX_THREADS - PROVEN_THREADS;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("host{number}")).collect()
}

/// Knows `host` for `age`.
fn know(lookups: &Lookups, host: &str, age: Duration) {
    let since = Instant::now()
        .checked_sub(age)
        .expect("the machine has run for a while");
    let answer = Ok(address(2));
    lookups
        .book()
        .known
        .insert(host.to_owned(), Known { answer, since });
}

#[test]
fn hanging_lookups_take_a_bounded_number_of_threads() {
    let (lookups, asked, release) = held();
    let names = names(100);
    thread::scope(|scope| {
        for name in &names {
            find_many(scope, &lookups, name, 1);
        }
        eventually(|| lookups.book().under_way.len() == 100);
        eventually(|| asked.load(Ordering::SeqCst) == OTHERS);
        assert!(lookups.book().threads <= MAX_THREADS);
        drop(release);
    });
    assert_eq!(asked.load(Ordering::SeqCst), 100);
    assert!(lookups.book().threads <= MAX_THREADS);
}

#[test]
fn names_in_use_are_found_while_others_hang() {
    let lookups = Arc::new(Lookups::new(|host| match host {
        "in use" => Ok(address(1)),
        _ => {
            thread::sleep(SOON);
            Err(unknown())
        }
    }));
    for name in names(100) {
        assert_eq!(lookups.find(&name, Instant::now()), Err(Miss::TooSlow));
    }
    eventually(|| lookups.book().startable() == 0);
    know(&lookups, "in use", USABLE);
    assert_eq!(lookups.find("in use", soon()), Ok(address(1)));
}

/// As after a start, when no name is known.
#[test]
fn new_names_are_found_while_many_hang_that_failed_before() {
    let (hang, hanging) = (Arc::<AtomicBool>::default(), mpsc::channel::<()>());
    let (hangs, (release, held)) = (Arc::clone(&hang), hanging);
    let held = Mutex::new(held);
    let lookups = Arc::new(Lookups::new(move |host| {
        if host == "good" {
            return Ok(address(1));
        }
        if hangs.load(Ordering::SeqCst) {
            let _ = held.lock().expect("held").recv();
        }
        Err(unknown())
    }));
    for name in names(100) {
        assert_eq!(lookups.find(&name, soon()), Err(unknown()));
    }
    hang.store(true, Ordering::SeqCst);
    thread::sleep(NOT_FOUND_FRESH);
    for name in names(100) {
        assert_eq!(lookups.find(&name, Instant::now()), Err(Miss::TooSlow));
    }
    eventually(|| lookups.book().startable() == 0);
    assert_eq!(lookups.find("good", soon()), Ok(address(1)));
    drop(release);
}

#[test]
fn names_that_nobody_waits_for_any_more_are_asked_for_in_their_turn() {
    let (lookups, asked, release) = held();
    for name in names(100) {
        assert_eq!(lookups.find(&name, Instant::now()), Err(Miss::TooSlow));
    }
    drop(release);
    eventually(|| asked.load(Ordering::SeqCst) == 100);
    eventually(|| lookups.find("host99", Instant::now()) == Ok(address(1)));
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
    let [found, missing] = [Ok(address(1)), Err(unknown())].map(|answer| Known { answer, since });
    let ages = |age| (found.age(since + age), missing.age(since + age));
    assert_eq!(ages(Duration::ZERO), (Age::Fresh, Age::Fresh));
    assert_eq!(ages(NOT_FOUND_FRESH), (Age::Fresh, Age::Old));
    assert_eq!(ages(FRESH).0, Age::Aging);
    assert_eq!(ages(AGING).0, Age::Stale);
    assert_eq!(ages(USABLE).0, Age::Old);
}

#[test]
fn addresses_in_use_are_used_while_they_are_looked_up_again() {
    let (lookups, asked, release) = held();
    know(&lookups, "host", FRESH);
    assert_eq!(lookups.find("host", Instant::now()), Ok(address(2)));
    drop(release);
    eventually(|| lookups.find("host", soon()) == Ok(address(1)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn addresses_not_used_for_a_while_are_looked_up_first() {
    let lookups = Arc::new(Lookups::new(|_| Ok(address(1))));
    know(&lookups, "host", AGING);
    assert_eq!(lookups.find("host", soon()), Ok(address(1)));
}

#[test]
fn older_addresses_do_when_the_lookup_hangs() {
    let (lookups, asked, _release) = held();
    know(&lookups, "host", AGING);
    let begun = Instant::now();
    assert_eq!(lookups.find("host", soon()), Ok(address(2)));
    assert!((PATIENCE..SOON).contains(&begun.elapsed()));
    // It has been waited for long enough.
    assert_eq!(lookups.find("host", soon()), Ok(address(2)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn failed_lookup_leaves_usable_addresses() {
    let lookups = Arc::new(Lookups::new(|_| Err(unknown())));
    know(&lookups, "host", AGING);
    assert_eq!(lookups.find("host", soon()), Ok(address(2)));
    know(&lookups, "host", USABLE);
    assert_eq!(lookups.find("host", soon()), Err(unknown()));
}

#[test]
fn lack_of_descriptors_is_not_remembered() {
    let asked = AtomicUsize::new(0);
    let lookups = Arc::new(Lookups::new(move |_| {
        match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Miss::Shortage("Too many open files".to_owned())),
            _ => Ok(address(1)),
        }
    }));
    assert!(matches!(lookups.find("host", soon()), Err(Miss::Shortage(_))));
    assert_eq!(lookups.find("host", soon()), Ok(address(1)));
}

#[test]
fn failed_lookup_without_descriptors_says_nothing_of_the_name() {
    let temporary = io::Error::other("failed to lookup address information: Temporary failure");
    let probe = io::Error::from_raw_os_error(nix::libc::EMFILE);
    let shortage = Miss::Shortage("Too many open files".to_owned());
    assert_eq!(missed(&temporary, Some(&probe)), shortage);
    let other = io::Error::from(io::ErrorKind::NotFound);
    let not_found = Miss::NotFound("Temporary failure".to_owned());
    assert_eq!(missed(&temporary, Some(&other)), not_found);
    assert_eq!(missed(&temporary, None), not_found);
}
