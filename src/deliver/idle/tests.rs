use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::deliver::descriptors::Descriptors;
use crate::deliver::socket::Socket;
use crate::deliver::tests::pki::Authority;

/// A host with connections to it.
struct Host {
    listener: TcpListener,
    descriptors: Arc<Descriptors>,
    idle: Idle,
}

impl Host {
    fn new() -> Host {
        Host {
            listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
            descriptors: Arc::new(Descriptors::new(100)),
            idle: Idle::default(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    fn connect(&self) -> (Stream, TcpStream) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let permit = self.descriptors.permit(|| false).expect("a permit");
        let socket = Socket::connect(&self.address(), deadline, permit).expect("a connection");
        (Stream::Plain(socket), self.listener.accept().expect("a peer").0)
    }

    /// Lays a new connection aside; gives its other end.
    fn keep(&self) -> TcpStream {
        let (stream, peer) = self.connect();
        self.idle.put(origin("a"), stream);
        peer
    }

    fn take(&self) -> Option<Stream> {
        self.idle.take(&origin("a"), &[self.address()])
    }

    /// Makes everything that is kept so much older.
    fn age(&self, by: Duration) {
        for kept in self.idle.rack().hosts.values_mut().flatten() {
            kept.since -= by;
        }
    }
}

fn origin(host: &str) -> Origin {
    Origin::of(&format!("http://{host}.test/").parse().expect("a URL"), None)
}

/// Waits for the end.
fn assert_closed(mut peer: TcpStream) {
    peer.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    assert_eq!(peer.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn connection_that_was_laid_aside_last_is_used_first() {
    let host = Host::new();
    let ends = [host.keep(), host.keep()];
    let local = |stream: Option<Stream>| stream.expect("a connection").socket().local_address();
    assert_eq!(local(host.take()), ends[1].peer_addr().ok());
    assert_eq!(local(host.take()), ends[0].peer_addr().ok());
    assert!(host.take().is_none());
}

#[test]
fn connection_is_used_for_its_own_host_and_scheme_only() {
    let host = Host::new();
    let _end = host.keep();
    let others = ["https://a.test/", "http://b.test/", "http://a.test:8080/"];
    for other in others.map(|other| Origin::of(&other.parse().expect("a URL"), None)) {
        assert!(host.idle.take(&other, &[host.address()]).is_none());
    }
    assert!(host.take().is_some());
}

#[test]
fn connection_serves_the_holder_of_its_certificate_only() {
    let host = Host::new();
    let authority = Authority::new();
    let [first, second] = [(); 2].map(|()| Arc::new(authority.client("same").certificate()));
    let of = |certificate| Origin::of(&"https://a.test/".parse().expect("a URL"), certificate);
    let (stream, _end) = host.connect();
    host.idle.put(of(Some(Arc::clone(&first))), stream);
    for other in [None, Some(second)] {
        assert!(host.idle.take(&of(other), &[host.address()]).is_none());
    }
    assert!(host.idle.take(&of(Some(first)), &[host.address()]).is_some());
    let (stream, _end) = host.connect();
    host.idle.put(of(None), stream);
    let third = Arc::new(authority.client("same").certificate());
    assert!(host.idle.take(&of(Some(third)), &[host.address()]).is_none());
}

#[test]
fn connection_to_an_address_that_the_host_no_longer_has_is_closed() {
    let host = Host::new();
    let end = host.keep();
    let elsewhere = "192.0.2.1:80".parse().expect("an address");
    assert!(host.idle.take(&origin("a"), &[elsewhere]).is_none());
    assert_closed(end);
}

#[test]
fn connection_that_has_been_idle_for_long_is_closed() {
    let host = Host::new();
    let end = host.keep();
    host.age(MAX_AGE - Duration::from_secs(5));
    drop(host.take().expect("young enough"));
    assert_closed(end);
    let end = host.keep();
    host.age(MAX_AGE + Duration::from_secs(1));
    assert!(host.take().is_none());
    assert_closed(end);
}

#[test]
fn old_connections_go_when_others_are_laid_aside() {
    let host = Host::new();
    let old = host.keep();
    host.age(MAX_AGE + Duration::from_secs(1));
    host.idle.rack().swept_at -= SWEEP_EVERY;
    let _young = host.keep();
    assert_closed(old);
    assert!(host.take().is_some());
}

#[test]
fn connection_that_the_receiver_closed_is_not_used() {
    let host = Host::new();
    let ends = [host.keep(), host.keep()];
    ends[1].shutdown(std::net::Shutdown::Write).expect("a shutdown");
    let taken = host.take().expect("the other one").socket().local_address();
    assert_eq!(taken, ends[0].peer_addr().ok());
}

#[test]
fn one_that_has_been_idle_for_longest_makes_room() {
    let host = Host::new();
    let (stream, oldest) = host.connect();
    host.idle.put(origin("b"), stream);
    let _end = host.keep();
    assert!(host.idle.evict());
    assert_closed(oldest);
    assert!(host.idle.evict());
    assert!(!host.idle.evict());
}

#[test]
fn closed_rack_keeps_nothing() {
    let host = Host::new();
    let before = host.keep();
    host.idle.close();
    assert_closed(before);
    assert_closed(host.keep());
}
