use proptest::prelude::*;
use ureq::config::Config;
use ureq::unversioned::transport::time::Duration as UreqDuration;

use super::super::lookup::Answer;
use super::*;
use crate::domain::endpoint::Endpoint;

/// A resolver on a server of this address, where names are looked up by `ask`.
fn resolver(
    own: &'static str,
    rules: AddressRules,
    ask: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> Resolver {
    let own = own.parse::<IpAddr>().expect("an address");
    Resolver::new(
        Arc::new(Lookups::new(ask)),
        Arc::new(rules),
        Arc::new(Interfaces::new(move || Ok(Arc::new([own])))),
    )
}

fn rules() -> AddressRules {
    AddressRules::parse("10.0.0.0/8", true).expect("valid networks")
}

fn list(addresses: &[&str]) -> Answer {
    Ok(addresses
        .iter()
        .map(|address| address.parse::<IpAddr>().expect("an address"))
        .collect())
}

/// What is dialled for `url`, or why nothing is.
fn resolve(resolver: &Resolver, url: &str) -> Result<Vec<String>, Failure> {
    let uri = Endpoint::parse(url).expect("valid URL").uri().clone();
    let timeout = NextTimeout {
        after: UreqDuration::from_secs(20),
        reason: ureq::Timeout::Global,
        ..NextTimeout::default()
    };
    match resolver.resolve(&uri, &Config::default(), timeout) {
        Ok(addresses) => Ok(addresses.iter().map(ToString::to_string).collect()),
        Err(Error::Other(other)) => Err(other.downcast_ref::<Failure>().expect("a failure").clone()),
        Err(other) => panic!("{other:?}"),
    }
}

fn refused(cause: Unreachable, detail: &str) -> Failure {
    Failure::Unreachable {
        cause,
        detail: detail.to_owned(),
    }
}

#[test]
fn of_several_addresses_those_that_are_denied_are_passed_over() {
    for (answer, dialled) in [
        (vec!["9.9.9.9"], vec!["9.9.9.9:443"]),
        (vec!["127.0.0.1", "9.9.9.9"], vec!["9.9.9.9:443"]),
        (
            vec!["9.9.9.9", "::1", "2620:fe::fe", "169.254.169.254"],
            vec!["9.9.9.9:443", "[2620:fe::fe]:443"],
        ),
        (
            vec!["10.0.0.7", "192.168.0.1", "93.184.216.34"],
            vec!["10.0.0.7:443"],
        ),
    ] {
        let found = list(&answer);
        let resolver = resolver("93.184.216.34", rules(), move |_| found.clone());
        let expected = dialled.iter().map(|address| (*address).to_owned()).collect();
        assert_eq!(
            resolve(&resolver, "https://example.com/"),
            Ok(expected),
            "{answer:?}"
        );
    }
}

#[test]
fn name_without_an_allowed_address_is_not_dialled() {
    for (answer, detail) in [
        (vec!["127.0.0.1"], "address 127.0.0.1 is loopback"),
        (vec!["127.0.0.1", "192.168.0.1"], "address 192.168.0.1 is private"),
        (
            vec!["::ffff:169.254.169.254"],
            "address ::ffff:169.254.169.254 is link-local",
        ),
        (
            vec!["93.184.216.34"],
            "address 93.184.216.34 is one of this server",
        ),
    ] {
        let found = list(&answer);
        let resolver = resolver("93.184.216.34", rules(), move |_| found.clone());
        assert_eq!(
            resolve(&resolver, "https://example.com/"),
            Err(refused(Unreachable::Blocked, detail))
        );
    }
}

#[test]
fn no_addresses_and_no_answer_both_fail() {
    let empty = resolver("10.0.0.1", rules(), |_| list(&[]));
    assert_eq!(
        resolve(&empty, "https://example.com/"),
        Err(refused(Unreachable::Dns, "host has no address"))
    );
    let broken = resolver("10.0.0.1", rules(), |_| {
        Err(Miss::NotFound("SERVFAIL".to_owned()))
    });
    assert_eq!(
        resolve(&broken, "https://example.com/"),
        Err(refused(
            Unreachable::Dns,
            "could not resolve host \"example.com\": SERVFAIL"
        ))
    );
}

#[test]
fn addresses_of_this_server_that_cannot_be_listed_stop_everything() {
    let blind = Resolver::new(
        Arc::new(Lookups::new(|_| list(&["9.9.9.9"]))),
        Arc::new(rules()),
        Arc::new(Interfaces::new(|| {
            Err(std::io::Error::from_raw_os_error(nix::libc::EACCES))
        })),
    );
    assert_eq!(
        resolve(&blind, "https://example.com/"),
        Err(refused(
            Unreachable::Blocked,
            "could not list the addresses of this server: Permission denied"
        ))
    );
    let short = Resolver::new(
        Arc::new(Lookups::new(|_| list(&["9.9.9.9"]))),
        Arc::new(rules()),
        Arc::new(Interfaces::new(|| {
            Err(std::io::Error::from_raw_os_error(nix::libc::EMFILE))
        })),
    );
    assert!(matches!(
        resolve(&short, "https://example.com/"),
        Err(Failure::Shortage { .. })
    ));
}

/// A name that leads elsewhere at each lookup gets no further than its answer of the moment: what is
/// dialled is always from the answer that was checked.
#[test]
fn answer_that_changes_is_checked_each_time() {
    let asked = std::sync::atomic::AtomicUsize::default();
    let resolver = resolver("93.184.216.34", rules(), move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => list(&["9.9.9.9"]),
            _ => list(&["127.0.0.1"]),
        }
    });
    // Each name is asked for once within a few seconds, so two names stand for two moments.
    let first = resolve(&resolver, "https://before.example.com/");
    assert_eq!(first, Ok(vec!["9.9.9.9:443".to_owned()]));
    let then = resolve(&resolver, "https://after.example.com/");
    assert_eq!(
        then,
        Err(refused(Unreachable::Blocked, "address 127.0.0.1 is loopback"))
    );
    let still = resolve(&resolver, "https://before.example.com/");
    assert_eq!(still, Ok(vec!["9.9.9.9:443".to_owned()]));
}

proptest! {
    /// What the URL was understood to say when it was validated is what is looked up and dialled.
    #[test]
    fn host_and_port_that_were_validated_are_those_that_are_dialled(
        raw in "(https?|HTTPS)://([a-zA-Z0-9.%-]{1,12}|[0-9x.]{1,14}|\\[[0-9a-f:.]{2,20}\\]|[a-zäß１-３．。]{1,6})(:[0-9]{1,5})?([/?][!-~]{0,9})?"
    ) {
        let Ok(endpoint) = Endpoint::parse(&raw) else { return Ok(()) };
        let asked = Arc::<std::sync::Mutex<Vec<String>>>::default();
        let names = Arc::clone(&asked);
        let open = AddressRules::parse("0.0.0.0/0, ::/0", true).and_then(|rules| rules.on_ports("1-65535"));
        let resolver = resolver("192.0.2.1", open.expect("valid rules"), move |name| {
            names.lock().expect("names").push(name.to_owned());
            list(&["192.0.2.7"])
        });
        let dialled = resolve(&resolver, endpoint.as_str());
        let asked = asked.lock().expect("names").clone();
        let expected = match endpoint.literal_address() {
            Some(ip) => {
                prop_assert!(asked.is_empty(), "{:?}", asked);
                ip
            }
            None => {
                prop_assert_eq!(asked, [endpoint.host()]);
                IpAddr::from([192, 0, 2, 7])
            }
        };
        prop_assert_eq!(dialled, Ok(vec![SocketAddr::new(expected, endpoint.port()).to_string()]));
    }
}

fn limited(host: &str, ask: impl Fn(&str) -> Answer + Send + Sync + 'static, bound: Duration) -> Failure {
    let timeout = NextTimeout {
        after: UreqDuration::from_secs(20),
        reason: ureq::Timeout::Global,
        ..NextTimeout::default()
    };
    match addresses_of(&Arc::new(Lookups::new(ask)), host, &Limit::new(timeout, bound)) {
        Err(Error::Other(other)) => other.downcast_ref::<Failure>().expect("a failure").clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lookup_for_which_the_system_lacks_something_is_nobodys_failure() {
    let short = |_: &str| Err(Miss::Shortage("Too many open files".to_owned()));
    let detail = "could not resolve host \"example.com\": Too many open files".to_owned();
    assert_eq!(
        limited("example.com", short, Duration::from_secs(10)),
        Failure::Shortage { detail }
    );
}

#[test]
fn lookup_that_hangs_is_given_up() {
    let hang = |_: &str| {
        std::thread::sleep(Duration::from_secs(2));
        list(&["9.9.9.9"])
    };
    let failure = limited("example.com", hang, Duration::from_millis(50));
    let detail = "resolving host \"example.com\" took longer than 50 ms";
    assert_eq!(failure, refused(Unreachable::Dns, detail));
}

#[test]
fn of_very_many_addresses_the_first_are_tried() {
    let many = resolver("10.0.0.1", rules(), |_| {
        Ok((1..=40).map(|last| IpAddr::from([9, 9, 9, last])).collect())
    });
    let dialled = resolve(&many, "https://example.com/").expect("addresses");
    assert_eq!(dialled.len(), 16);
    assert_eq!(dialled[15], "9.9.9.16:443");
}
