//! The loop that serves all connections of a receiver from one thread.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::connection::{Connection, Step};
use super::ledger::{Ledger, Port};

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Sockets, timers and the shared ledger.
pub struct Reactor {
    poll: Poll,
    address: SocketAddr,
    /// `None` while the port is closed.
    listener: Option<TcpListener>,
    ledger: Arc<Mutex<Ledger>>,
    connections: HashMap<usize, Connection>,
    /// When to go on with which connection; a connection that is gone is passed over.
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    accepted: usize,
    chunk: Vec<u8>,
}

impl Reactor {
    pub fn new(mut listener: TcpListener, ledger: Arc<Mutex<Ledger>>) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let address = listener.local_addr()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (connections, timers, chunk) = (HashMap::new(), BinaryHeap::new(), vec![0; 1 << 16]);
        Ok((
            Reactor {
                poll,
                address,
                listener: Some(listener),
                ledger,
                connections,
                timers,
                accepted: 0,
                chunk,
            },
            waker,
        ))
    }

    /// Serves until the ledger says to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.ledger.lock().expect("poisoned").stopped {
            match self.poll.poll(&mut events, self.until_next_timer()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.expect("could not poll"),
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept_all(),
                    WAKER => {
                        self.follow_port();
                        self.release_asked();
                    }
                    Token(number) => self.on_ready(number, event.is_read_closed() || event.is_error()),
                }
            }
            self.fire_timers();
        }
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let Reverse((at, _)) = self.timers.peek()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn accept_all(&mut self) {
        while let Some(Ok((mut stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.accepted += 1;
            let _ = stream.set_nodelay(true);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self
                .poll
                .registry()
                .register(&mut stream, Token(self.accepted), interest)
                .is_ok()
            {
                self.connections
                    .insert(self.accepted, Connection::new(stream, self.accepted as u64));
                self.ledger.lock().expect("poisoned").open_connections += 1;
            }
        }
    }

    fn on_ready(&mut self, number: usize, closing: bool) {
        if let Some(connection) = self.connections.get_mut(&number) {
            let step = connection.on_ready(&self.ledger, &mut self.chunk, closing);
            self.do_step(number, step);
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((at, number))) = self.timers.peek()
            && at <= now
        {
            self.timers.pop();
            self.go_on(number);
        }
    }

    fn go_on(&mut self, number: usize) {
        if let Some(connection) = self.connections.get_mut(&number) {
            let step = connection.go_on(&self.ledger);
            self.do_step(number, step);
        }
    }

    fn do_step(&mut self, number: usize, step: Step) {
        match step {
            Step::Wait => {}
            Step::WakeAt(at) => self.timers.push(Reverse((at, number))),
            Step::Release(path) => {
                self.go_on(number);
                self.release(&path);
            }
            Step::Close => self.close(number),
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(mut connection) = self.connections.remove(&number) {
            connection.forget_request(&self.ledger);
            let _ = self.poll.registry().deregister(connection.stream());
            drop(connection);
            self.ledger.lock().expect("poisoned").open_connections -= 1;
        }
    }

    /// Closes or opens the port as the ledger says.
    fn follow_port(&mut self) {
        let wanted = self.ledger.lock().expect("poisoned").port;
        match (wanted, self.listener.take()) {
            (Port::Closed, Some(mut listener)) => {
                let _ = self.poll.registry().deregister(&mut listener);
                for number in self.connections.keys().copied().collect::<Vec<_>>() {
                    self.close(number);
                }
            }
            (Port::Open, None) => {
                let mut listener = TcpListener::bind(self.address).expect("could not listen again");
                let registry = self.poll.registry();
                let registered = registry.register(&mut listener, LISTENER, Interest::READABLE);
                registered.expect("could not poll");
                self.listener = Some(listener);
            }
            (_, listener) => self.listener = listener,
        }
    }

    fn release_asked(&mut self) {
        let paths = std::mem::take(&mut self.ledger.lock().expect("poisoned").releases);
        for path in paths {
            self.release(&path);
        }
    }

    fn release(&mut self, path: &str) {
        let held = self
            .connections
            .iter_mut()
            .filter_map(|(number, held)| held.release(path).then_some(*number));
        for number in held.collect::<Vec<_>>() {
            self.go_on(number);
        }
    }
}
