//! An HTTP/1.1 server on the loopback interface that logs each request before it answers, and can behave badly.

mod behaviour;
mod connection;
mod ledger;
mod output;
mod reactor;
mod received;
mod script;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;
use mio::net::TcpListener;

pub use behaviour::{Answer, Behaviour, Then};
pub use ledger::{Arrival, Keep};
pub use received::{Arrived, Received};
pub use script::Script;

use crate::{ports, wait_until};
use ledger::{Ledger, Port};
use reactor::Reactor;

/// A running receiver. A path answers 200 until [`Receiver::on`] says otherwise.
///
/// Dropping it closes its port and all its connections.
pub struct Receiver {
    address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    ///
    /// # Panics
    /// When no socket can be had.
    pub fn start() -> Self {
        Receiver::start_with(Keep::Everything, Ipv4Addr::LOCALHOST)
    }

    /// Starts a receiver that keeps only ids and times, so that it is no bottleneck of a benchmark.
    pub fn counting() -> Self {
        Receiver::start_with(Keep::Arrivals, Ipv4Addr::LOCALHOST)
    }

    /// Starts a receiver at this address whose every answer a script decides.
    pub fn scripted(address: Ipv4Addr, script: impl Script + 'static) -> Self {
        let receiver = Receiver::start_with(Keep::Nothing, address);
        receiver.ledger().script = Some(Box::new(script));
        receiver
    }

    fn start_with(keep: Keep, address: Ipv4Addr) -> Self {
        let bind = |port| TcpListener::bind(SocketAddr::from((address, port)));
        let listener = ports::bind(bind).expect("could not listen");
        let address = listener.local_addr().expect("could not listen");
        let ledger = Arc::new(Mutex::new(Ledger::new(keep)));
        let (reactor, waker) = Reactor::new(listener, Arc::clone(&ledger)).expect("could not poll");
        let thread = std::thread::Builder::new().name("receiver".to_owned());
        let thread = thread.spawn(|| reactor.run()).expect("could not start a thread");
        Receiver {
            address,
            ledger,
            waker,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says what to do with requests that arrive at `path` from now on.
    pub fn on(&self, path: &str, behaviour: impl Into<Behaviour>) {
        self.ledger().set(path, behaviour.into());
    }

    /// Answers what hangs, or waits at a barrier, at `path`.
    pub fn release(&self, path: &str) {
        self.ledger().releases.push(path.to_owned());
        self.waker.wake().expect("could not wake the receiver");
    }

    /// Closes the port and all connections: nobody is there any more.
    pub fn close_port(&self) {
        self.set_port(Port::Closed);
    }

    /// Listens again at the same port.
    pub fn open_port(&self) {
        self.set_port(Port::Open);
    }

    fn set_port(&self, port: Port) {
        self.ledger().port = port;
        self.waker.wake().expect("could not wake the receiver");
        wait_until(
            "the port to be as it was asked for",
            Duration::from_secs(30),
            || {
                let open =
                    std::net::TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
                open == (port == Port::Open)
            },
        );
    }

    /// Everything that has arrived at `path`, in order.
    pub fn requests(&self, path: &str) -> Vec<Received> {
        self.ledger()
            .received
            .iter()
            .filter(|received| received.path == path)
            .cloned()
            .collect()
    }

    /// Everything that has arrived, in order.
    pub fn all_requests(&self) -> Vec<Received> {
        self.ledger().received.clone()
    }

    /// Everything that has arrived at a counting receiver, in order.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.ledger().arrivals.clone()
    }

    /// How many requests have arrived, of either kind of receiver.
    pub fn count(&self) -> usize {
        let ledger = self.ledger();
        ledger.received.len() + ledger.arrivals.len()
    }

    /// Forgets what has arrived.
    pub fn clear(&self) {
        let mut ledger = self.ledger();
        ledger.received.clear();
        ledger.arrivals.clear();
    }

    /// Most requests that were under way at `path` at the same time.
    pub fn peak_in_flight(&self, path: &str) -> usize {
        self.ledger().peak_in_flight(path)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.ledger().open_connections
    }

    /// Requests that were not HTTP/1.1 with a declared length; their connections were closed.
    pub fn malformed(&self) -> usize {
        self.ledger().malformed
    }

    /// Waits until at least `count` requests have arrived at `path`, and gives them all.
    ///
    /// # Panics
    /// When the deadline passes; says what has arrived.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize, deadline: Duration) -> Vec<Received> {
        wait_until(format_args!("{count} requests at {path}"), deadline, || {
            let requests = self.requests(path);
            if requests.len() >= count {
                Ok(requests)
            } else {
                Err(self.ledger().summary())
            }
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("the receiver has panicked")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Ok(mut ledger) = self.ledger.lock() {
            ledger.stopped = true;
        }
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
