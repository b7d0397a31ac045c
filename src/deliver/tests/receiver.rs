//! A receiver that does what a test tells it, one thread per connection.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A listening socket and what came in through it.
pub struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One connection to a receiver.
pub struct Peer {
    pub stream: TcpStream,
    /// Counted from 0, in the order of arrival.
    pub number: usize,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Receiver {
    /// Runs `serve` for each connection and closes it afterwards.
    pub fn new(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&requests);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.expect("a connection");
                let mut peer = Peer {
                    stream,
                    number,
                    requests: Arc::clone(&seen),
                };
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(&mut peer));
            }
        });
        Receiver { port, requests }
    }

    /// One that answers each request with `answer` and waits for the next.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Receiver {
        let answer = answer.into();
        Receiver::new(move |peer| {
            while peer.request().is_some() {
                peer.send(&answer);
            }
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests so far, header and body.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().expect("requests").clone()
    }
}

impl Peer {
    /// Reads one request. `None` when the sender closed the connection instead.
    pub fn request(&mut self) -> Option<Vec<u8>> {
        let mut request = Vec::new();
        loop {
            if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let header = String::from_utf8_lossy(&request[..end]).to_lowercase();
                let length = header
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().expect("a length"));
                if request.len() >= end + 4 + length {
                    self.requests.lock().expect("requests").push(request.clone());
                    return Some(request);
                }
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(amount) => request.extend_from_slice(&chunk[..amount]),
            }
        }
    }

    /// Sends `bytes`; false when the sender is gone.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Waits until the sender closes.
    pub fn hang(&mut self) {
        let mut chunk = [0; 4096];
        while matches!(self.stream.read(&mut chunk), Ok(1..)) {}
    }

    /// Passes on what comes to `there`, and what comes from there, until both ends are closed.
    pub fn join(&mut self, there: &TcpStream) {
        let pass = |mut from: TcpStream, mut to: TcpStream| {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        };
        let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
        let (here, away) = (clone(&self.stream), clone(there));
        let back = thread::spawn(move || pass(away, here));
        pass(clone(&self.stream), clone(there));
        let _ = back.join();
    }

    /// Waits for the first bytes of a request and leaves them unread, which makes closing a reset.
    pub fn reset(&mut self) {
        let _ = self.stream.peek(&mut [0]);
    }

    /// Ends the connection as one does that closed it while a request was on its way: an end first, and a
    /// reset for the request.
    pub fn miss(&mut self) {
        let _ = self.stream.peek(&mut [0]);
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
