//! Every way in which a receiver can fail an attempt, and that each is told apart.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use pg_hooks_tests::dns::{self, Dns};
use pg_hooks_tests::receiver::Then;
use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Answer, Behaviour, Cluster, wait_until};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::site::{Attempt, SOON, Site, assert_within, ms};

const ONCE: &str = ", max_attempts => 1";
const ONE_SECOND: &str = ", max_attempts => 1, timeout => '1 s'";

/// Sends a message to `url`, which fails it, and gives the only attempt.
#[track_caller]
fn fail(site: &mut Site, name: &str, url: &str, policy: &str) -> Attempt {
    site.queue_to(url, name, policy);
    let id = site.send(name, "x");
    site.wait_for_state(id, "dead");
    site.attempt(id)
}

#[test]
fn refused_connection_is_a_connect_failure() {
    let mut site = Site::settled();
    let (_kept, nobody) = bound();
    let attempt = fail(&mut site, "q", &format!("http://{nobody}/"), ONCE);
    assert_eq!(attempt.result(), (None, Some("connect")));
    assert_eq!(attempt.response, None);
    assert!(attempt.error.unwrap().to_lowercase().contains("refused"));
}

#[test]
fn unknown_host_is_a_dns_failure() {
    // The one of the machine may be far away, or not answer.
    let dns = Dns::start();
    let library = dns::interposer().unwrap();
    let cluster = Cluster::builder()
        .environment("LD_PRELOAD", &library.display().to_string())
        .environment("TEST_DNS_PORT", &dns.port().to_string());
    let mut site = Site::on(Box::leak(Box::new(cluster.start())));
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://name.invalid/hook");
        let attempt = fail(&mut site, scheme, &url, ONCE);
        assert_eq!(attempt.result(), (None, Some("dns")), "{attempt:?}");
        assert!(attempt.error.unwrap().contains("name.invalid"));
    }
}

#[test]
fn receiver_that_does_not_speak_tls_is_a_tls_failure() {
    let mut site = Site::settled();
    let url = site.receiver.url("/q").replace("http:", "https:");
    let attempt = fail(&mut site, "q", &url, ONCE);
    assert_eq!(attempt.result(), (None, Some("tls")), "{attempt:?}");
    assert_eq!(site.arrived("q"), 0);
}

#[test]
fn only_listed_statuses_are_accepted() {
    let mut site = Site::settled();
    let two = ", max_attempts => 1, accepted_statuses => array[200, 201]";
    for (status, policy, accepted) in [
        (204, two, false),
        (201, two, true),
        (204, ONCE, true),
        (299, ONCE, true),
        (300, ONCE, false),
        (404, ", accepted_statuses => array[404]", true),
    ] {
        let name = format!("q{status}{accepted}");
        site.receiver.on(&format!("/{name}"), Behaviour::status(status));
        site.queue(&name, policy);
        let id = site.send(&name, "x");
        site.wait_for_state(id, if accepted { "delivered" } else { "dead" });
        let status = i16::try_from(status).unwrap();
        assert_eq!(
            site.attempt(id).result(),
            (Some(status), (!accepted).then_some("status")),
            "{name}"
        );
    }
}

#[test]
fn redirect_is_neither_followed_nor_accepted() {
    let mut site = Site::settled();
    let elsewhere = site.receiver.url("/elsewhere");
    for status in [301, 302, 303, 307, 308] {
        let name = format!("q{status}");
        site.receiver
            .on(&format!("/{name}"), Behaviour::redirect(status, &elsewhere));
        let url = site.receiver.url(&format!("/{name}"));
        let attempt = fail(&mut site, &name, &url, ONCE);
        assert_eq!(attempt.result(), (i16::try_from(status).ok(), Some("status")));
    }
    site.receiver.on("/listed", Behaviour::redirect(302, &elsewhere));
    site.queue("listed", ", accepted_statuses => array[302]");
    let listed = site.send("listed", "x");
    site.wait_for_state(listed, "delivered");
    never_within("a redirect was followed", ms(100), || {
        site.arrived("elsewhere") > 0
    });
}

#[test]
fn attempt_ends_at_the_timeout_of_its_queue() {
    let mut site = Site::settled();
    let mute = Unaccepted::new(100);
    let deaf = Unaccepted::full();
    site.receiver.on("/hang", Behaviour::Hang);
    site.receiver
        .on("/head", Behaviour::DripAll(ms(500), Answer::new(200)));
    let urls = [
        ("hang", site.receiver.url("/hang")),
        ("head", site.receiver.url("/head")),
        ("mute", format!("http://{}/", mute.address)),
        ("handshake", format!("https://{}/", mute.address)),
        ("deaf", format!("http://{}/", deaf.address)),
    ];
    // All at once, as each takes its second.
    let mut ids = Vec::new();
    for (name, url) in &urls {
        site.queue_to(url, name, ONE_SECOND);
        ids.push(site.send(name, "x"));
    }
    for ((name, _), id) in urls.iter().zip(ids) {
        site.wait_for_state(id, "dead");
        let attempt = site.attempt(id);
        assert_eq!(attempt.result(), (None, Some("timeout")), "{name}: {attempt:?}");
        assert_eq!(
            attempt.error.as_deref(),
            Some("timed out after 1000 ms"),
            "{name}"
        );
        assert_within(name, attempt.took, ms(990)..=ms(15_000));
    }
}

#[test]
fn status_counts_although_the_body_does_not_end_in_time() {
    let mut site = Site::settled();
    let drip = |status| Behaviour::DripBody(ms(50), Answer::new(status).body(vec![b'x'; 10_000]));
    site.receiver.on("/accepted", drip(200));
    site.receiver.on("/refused", drip(500));
    let ids = ["accepted", "refused"].map(|name| {
        site.queue(name, ", max_attempts => 1, timeout => '3 s'");
        site.send(name, "x")
    });
    let states = [
        ("delivered", (Some(200), None)),
        ("dead", (Some(500), Some("status"))),
    ];
    for (id, (state, result)) in ids.into_iter().zip(states) {
        site.wait_for_state(id, state);
        let attempt = site.attempt(id);
        assert_eq!((attempt.result(), attempt.truncated), (result, true));
        assert_within("the attempt", attempt.took, ms(0)..=ms(20_000));
        assert!(
            attempt
                .response
                .is_some_and(|response| response.starts_with(b"xxx"))
        );
    }
}

#[test]
fn connection_that_breaks_before_an_answer_is_lost() {
    let mut site = Site::settled();
    for (name, behaviour) in [
        ("reset", Behaviour::Reset),
        ("close", Behaviour::Close),
        ("garbage", Behaviour::garbage()),
    ] {
        site.receiver.on(&format!("/{name}"), behaviour);
        let url = site.receiver.url(&format!("/{name}"));
        let attempt = fail(&mut site, name, &url, ONCE);
        assert_eq!(
            attempt.result(),
            (None, Some("connection_lost")),
            "{name}: {attempt:?}"
        );
        assert_within(name, attempt.took, Duration::ZERO..=ms(14_000));
        assert_eq!(site.arrived(name), 1, "{name}");
    }
}

#[test]
fn kept_connection_that_the_receiver_closed_costs_no_attempt() {
    let mut site = Site::settled();
    site.receiver.on("/q", Answer::new(200).then(Then::CloseSilently));
    site.queue("q", ONCE);
    for n in 1..=20 {
        let id = site.send("q", &n.to_string());
        site.wait_for_state(id, "delivered");
        assert_eq!(site.attempt(id).result(), (Some(200), None));
        // What is sent before it has closed is lost with the connection.
        wait_until("the receiver to have closed", SOON, || {
            site.receiver.open_connections() == 0
        });
    }
    assert_eq!(site.arrived("q"), 20);
}

#[test]
fn receiver_that_read_the_request_and_closed_a_kept_connection_costs_an_attempt() {
    let mut site = Site::settled();
    let script = vec![Behaviour::status(200), Behaviour::Close];
    site.receiver.on("/q", Behaviour::Script(script));
    site.queue("q", ONCE);
    let first = site.send("q", "x");
    site.wait_for_state(first, "delivered");
    let second = site.send("q", "x");
    site.wait_for_state(second, "dead");
    assert_eq!(site.attempt(second).result(), (None, Some("connection_lost")));
    assert_eq!(site.arrived("q"), 2);
}

#[test]
fn connection_is_kept_for_the_next_message() {
    let mut site = Site::settled();
    site.queue("q", "");
    for n in 1..=20 {
        let id = site.send("q", &n.to_string());
        site.wait_for_state(id, "delivered");
    }
    let connections = site
        .arrivals("q", 20)
        .iter()
        .map(|request| request.connection)
        .max();
    assert!(
        connections < Some(10),
        "{connections:?} connections for 20 messages"
    );
}

/// A socket with an address that nobody else gets, and that does not listen.
fn bound() -> (OwnedFd, SocketAddr) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &any).unwrap();
    let address = getsockname(&socket).unwrap().try_into().unwrap();
    (socket, address)
}

/// A listening socket whose owner accepts nobody.
struct Unaccepted {
    address: SocketAddr,
    _socket: OwnedFd,
    _guests: Vec<TcpStream>,
}

impl Unaccepted {
    /// Connections come about, and nothing is ever said.
    fn new(backlog: i32) -> Unaccepted {
        let (listener, address) = bound();
        listen(&listener, backlog).unwrap();
        Unaccepted {
            address,
            _socket: listener,
            _guests: Vec::new(),
        }
    }

    /// No connection comes about either, as the backlog is full.
    fn full() -> Unaccepted {
        let mut full = Unaccepted::new(0);
        while let Ok(guest) = TcpStream::connect_timeout(&full.address, ms(50)) {
            full._guests.push(guest);
        }
        full
    }
}
