//! Where names lead, and where they lead a moment later.
//!
//! The server under test has the real resolver of the C library, which is told to ask a DNS server of the
//! test.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::OnceLock;

use pg_hooks_tests::dns::{self, Answer, Dns};
use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Cluster, wait_until};

/// Public, and never dialled here: the server takes it for one of its own.
const OWN: &str = "93.184.216.34";

/// A server that may reach 127.0.0.1 and no other private address.
fn world() -> &'static (Cluster, Dns) {
    static WORLD: OnceLock<(Cluster, Dns)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let dns = Dns::start();
        let library = dns::interposer().expect("a library");
        let cluster = Cluster::builder()
            .setting("hooks.allowed_networks", "127.0.0.1")
            .environment("LD_PRELOAD", &library.display().to_string())
            .environment("TEST_DNS_PORT", &dns.port().to_string())
            .environment("TEST_OWN_ADDRESS", OWN)
            .start();
        (cluster, dns)
    })
}

/// A site, and the DNS server that its server asks.
fn site() -> (Site, &'static Dns) {
    let (cluster, dns) = world();
    (Site::on(cluster), dns)
}

/// Makes a queue `name` to `host` on the port of the receiver. Attempts are not repeated.
fn queue_to(site: &mut Site, name: &str, host: &str) {
    let url = site.receiver.url(&format!("/{name}")).replace("127.0.0.1", host);
    site.run(&format!(
        "select hooks.create_queue('{name}', '{url}', max_attempts => 1)"
    ));
}

/// Somebody at 127.0.0.2 on the port of the receiver, to whom nobody may come.
struct Trap(TcpListener);

impl Trap {
    fn beside(site: &Site) -> Trap {
        let url = site.receiver.url("");
        let port = url.rsplit_once(':').expect("a port").1.trim_end_matches('/');
        let listener = TcpListener::bind(format!("127.0.0.2:{port}")).expect("127.0.0.2");
        listener.set_nonblocking(true).expect("a socket");
        Trap(listener)
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let touched = self.0.accept().map(|(_, from)| from);
        assert_eq!(touched.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
}

/// What became of one message: class and text of its failed attempt, or nothing when it was delivered.
fn outcome(site: &mut Site, queue: &str) -> Option<(String, String)> {
    let id: i64 = site.value(&format!("select hooks.send('{queue}', 'x')"));
    site.settle();
    let attempt = format!(
        "select array[coalesce(error_class, ''), coalesce(error, '')] from hooks.attempt where message_id = {id}"
    );
    let [class, why]: [String; 2] = site.value::<Vec<String>>(&attempt).try_into().expect("two");
    (!class.is_empty()).then_some((class, why))
}

#[test]
fn name_that_moves_to_a_denied_address_is_not_followed() {
    let (mut site, dns) = site();
    let trap = Trap::beside(&site);
    dns.say("rebind.example.net", &["127.0.0.1"]);
    queue_to(&mut site, "rebind", "rebind.example.net");
    assert_eq!(outcome(&mut site, "rebind"), None);
    assert_eq!(site.arrived("rebind"), 1);

    dns.say("rebind.example.net", &["127.0.0.2"]);
    // An answer is used for some seconds; the address that it holds was checked.
    let refused = wait_until("the new answer to be refused", SOON, || {
        outcome(&mut site, "rebind")
    });
    let why = "address 127.0.0.2 is loopback".to_owned();
    assert_eq!(refused, ("blocked".to_owned(), why));
    let arrived = site.arrived("rebind");
    assert!(outcome(&mut site, "rebind").is_some());
    assert_eq!(
        site.arrived("rebind"),
        arrived,
        "a kept connection to the old address was used"
    );
    trap.assert_untouched();
}

#[test]
fn of_a_name_with_several_addresses_only_allowed_ones_are_dialled() {
    let (mut site, dns) = site();
    let trap = Trap::beside(&site);
    dns.say(
        "mixed.example.net",
        &[
            "127.0.0.2",
            "10.0.0.1",
            "127.0.0.1",
            "::ffff:127.0.0.2",
            "fd00::1",
        ],
    );
    queue_to(&mut site, "mixed", "mixed.example.net");
    for _ in 0..5 {
        assert_eq!(outcome(&mut site, "mixed"), None);
    }
    assert_eq!(site.arrived("mixed"), 5);
    trap.assert_untouched();
}

#[test]
fn name_of_denied_addresses_alone_is_blocked() {
    let (mut site, dns) = site();
    let trap = Trap::beside(&site);
    for (queue, addresses, why) in [
        ("second", &["127.0.0.2"][..], "address 127.0.0.2 is loopback"),
        (
            "metadata",
            &["169.254.169.254"],
            "address 169.254.169.254 is link-local",
        ),
        (
            "mapped",
            &["::ffff:127.0.0.2"],
            "address ::ffff:127.0.0.2 is loopback",
        ),
        (
            "nat64",
            &["64:ff9b::a00:1"],
            "address 64:ff9b::a00:1 leads to 10.0.0.1, which is private",
        ),
        ("own", &[OWN], "address 93.184.216.34 is one of this server"),
    ] {
        let host = format!("{queue}.example.net");
        dns.say(&host, addresses);
        queue_to(&mut site, queue, &host);
        let blocked = Some(("blocked".to_owned(), why.to_owned()));
        assert_eq!(outcome(&mut site, queue), blocked, "{host}");
        assert_eq!(site.arrived(queue), 0);
    }
    trap.assert_untouched();
}

#[test]
fn name_without_addresses_or_without_an_answer_fails() {
    let (mut site, dns) = site();
    dns.say("empty.example.net", &[]);
    dns.set("failing.example.net", Answer::Failure);
    for queue in ["empty", "failing", "unknown"] {
        let host = format!("{queue}.example.net");
        queue_to(&mut site, queue, &host);
        let (class, why) = outcome(&mut site, queue).expect("a failure");
        assert_eq!(class, "dns", "{why}");
        let says = format!("could not resolve host \"{host}\": ");
        assert!(why.starts_with(&says), "{why}");
        assert_eq!(site.arrived(queue), 0);
    }
}

#[test]
fn url_with_an_address_of_this_server_is_refused() {
    let (mut site, _) = site();
    for host in [
        OWN,
        "1572395042",
        "[::ffff:93.184.216.34]",
        "[64:ff9b::93.184.216.34]",
    ] {
        let refused = site.refusal(&format!("select hooks.create_queue('own', 'https://{host}/')"));
        assert!(
            refused.message.ends_with(" is one of this server"),
            "{host}: {refused:?}"
        );
        assert_eq!(
            refused.hint,
            "An administrator can add its network to hooks.allowed_networks."
        );
    }
}
