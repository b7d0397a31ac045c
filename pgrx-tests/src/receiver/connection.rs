//! One client's connection: reads requests, does what it is told with each, keeps alive.

use std::io::{self, ErrorKind, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::behaviour::{Answer, Behaviour, Then};
use super::ledger::{Decision, Keep, Ledger};
use super::output::{Output, Written};
use super::received::{self, Arrived, Progress};

/// A connection and where it stands.
pub struct Connection {
    stream: TcpStream,
    number: u64,
    input: Vec<u8>,
    /// Less than this is not worth parsing.
    needed: usize,
    ended_by_peer: bool,
    /// Path of the request under way.
    path: Option<String>,
    /// Its number in the log of a script.
    scripted: Option<usize>,
    state: State,
}

enum State {
    Reading,
    /// Until its path is released.
    Held(Answer),
    Waiting(Instant, Behaviour),
    Writing(Output),
}

/// What the loop has to do for a connection.
pub enum Step {
    /// Wait for the socket.
    Wait,
    WakeAt(Instant),
    /// Answer everything held at this path.
    Release(String),
    Close,
}

impl Connection {
    pub fn new(stream: TcpStream, number: u64) -> Self {
        let (input, path) = (Vec::new(), None);
        Connection {
            stream,
            number,
            input,
            needed: 1,
            ended_by_peer: false,
            path,
            scripted: None,
            state: State::Reading,
        }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads what is there, then goes as far as possible. `closing`: the peer has sent its last byte.
    pub fn on_ready(&mut self, ledger: &Mutex<Ledger>, chunk: &mut [u8], closing: bool) -> Step {
        if self.fill(chunk, closing).is_err() {
            return Step::Close;
        }
        self.go_on(ledger)
    }

    /// A read that does not fill the chunk has emptied the socket: what comes later is another event.
    fn fill(&mut self, chunk: &mut [u8], closing: bool) -> io::Result<()> {
        loop {
            match self.stream.read(chunk) {
                Ok(0) => {
                    self.ended_by_peer = true;
                    return Ok(());
                }
                Ok(count) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    if count < chunk.len() && !closing {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes as far as possible without reading.
    pub fn go_on(&mut self, ledger: &Mutex<Ledger>) -> Step {
        loop {
            let step = match &mut self.state {
                State::Reading => self.take_request(ledger),
                State::Held(_) => Some(self.wait()),
                State::Waiting(until, _) if Instant::now() < *until => {
                    let until = *until;
                    Some(self.wait_until(until))
                }
                State::Waiting(_, behaviour) => {
                    let behaviour = behaviour.clone();
                    self.begin(behaviour)
                }
                State::Writing(_) => self.write(ledger),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// A client that has left no longer waits for an answer.
    fn wait(&self) -> Step {
        if self.ended_by_peer {
            Step::Close
        } else {
            Step::Wait
        }
    }

    fn wait_until(&self, until: Instant) -> Step {
        if self.ended_by_peer {
            Step::Close
        } else {
            Step::WakeAt(until)
        }
    }

    fn take_request(&mut self, ledger: &Mutex<Ledger>) -> Option<Step> {
        if self.input.len() < self.needed {
            return Some(self.wait());
        }
        match received::progress(&self.input) {
            Progress::NeedsBytes(needed) => {
                self.needed = needed;
                None
            }
            Progress::Malformed => {
                ledger.lock().expect("poisoned").malformed += 1;
                Some(Step::Close)
            }
            Progress::Complete { body_start, end } => self.on_request(ledger, body_start, end),
        }
    }

    /// Logs the request, then begins what was decided about it.
    fn on_request(&mut self, ledger: &Mutex<Ledger>, body_start: usize, end: usize) -> Option<Step> {
        let (path, decision) = self.log(ledger, body_start, end);
        self.input.drain(..end);
        self.needed = 1;
        self.path = Some(path.clone());
        match decision {
            Decision::Do(behaviour) => self.begin(behaviour),
            Decision::ReleaseAll(behaviour) => {
                self.begin(behaviour);
                Some(Step::Release(path))
            }
        }
    }

    /// Keeps no more than the ledger asks for: a benchmark is about the sender.
    fn log(&mut self, ledger: &Mutex<Ledger>, body_start: usize, end: usize) -> (String, Decision) {
        let arrived = Arrived::now();
        let (head, body) = (&self.input[..body_start], &self.input[body_start..end]);
        let keep = ledger.lock().expect("poisoned").keep;
        match keep {
            Keep::Everything => {
                let received = received::read(head, body, arrived, self.number);
                let path = received.path.clone();
                let mut ledger = ledger.lock().expect("poisoned");
                ledger.received.push(received);
                let decision = ledger.decide(&path);
                (path, decision)
            }
            Keep::Nothing => {
                let received = received::read(head, body, arrived, self.number);
                let mut ledger = ledger.lock().expect("poisoned");
                let script = ledger.script.as_mut().expect("a script");
                let (number, behaviour) = script.on_request(&received);
                self.scripted = Some(number);
                (received.path, Decision::Do(behaviour))
            }
            Keep::Arrivals => {
                let (path, arrival) = received::arrival(head, arrived);
                let mut ledger = ledger.lock().expect("poisoned");
                ledger.arrivals.push(arrival);
                let decision = ledger.decide(&path);
                (path, decision)
            }
        }
    }

    fn begin(&mut self, behaviour: Behaviour) -> Option<Step> {
        self.state = match behaviour {
            Behaviour::Answer(answer) => State::Writing(Output::answer(&answer)),
            Behaviour::After(delay, next) => State::Waiting(Instant::now() + delay, *next),
            Behaviour::Hang => State::Held(Answer::new(200)),
            Behaviour::Barrier(_, answer) => State::Held(answer),
            Behaviour::DripAll(every, answer) => State::Writing(Output::dripping(&answer, 0, every)),
            Behaviour::DripBody(every, answer) => {
                State::Writing(Output::dripping(&answer, answer.head().len(), every))
            }
            Behaviour::HugeBody(length) => State::Writing(Output::zeros(length)),
            Behaviour::Raw(bytes) => State::Writing(Output::raw(bytes, Then::CloseSilently)),
            Behaviour::Script(script) => {
                let first = script
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| Behaviour::status(200));
                State::Waiting(Instant::now(), first)
            }
            // Which one it is depends on the path, and is decided there.
            Behaviour::OneIn(_, behaviour) => State::Waiting(Instant::now(), *behaviour),
            Behaviour::Close => return Some(Step::Close),
            Behaviour::Reset => {
                let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
                return Some(Step::Close);
            }
        };
        None
    }

    fn write(&mut self, ledger: &Mutex<Ledger>) -> Option<Step> {
        let State::Writing(output) = &mut self.state else {
            return None;
        };
        let written = output.write(&mut self.stream);
        let then = output.then;
        if matches!(written, Ok(Written::All)) {
            self.tell_script(ledger);
        }
        match written {
            Err(_) => Some(Step::Close),
            Ok(Written::Blocked) => Some(Step::Wait),
            Ok(Written::Until(at)) => Some(Step::WakeAt(at)),
            Ok(Written::All) if then != Then::KeepAlive => Some(Step::Close),
            Ok(Written::All) => {
                self.state = State::Reading;
                self.forget_request(ledger);
                None
            }
        }
    }

    /// Everything that was to be written is with the system.
    fn tell_script(&mut self, ledger: &Mutex<Ledger>) {
        if let Some(number) = self.scripted.take()
            && let Some(script) = ledger.lock().expect("poisoned").script.as_mut()
        {
            script.on_answered(number);
        }
    }

    /// Answers a request that is held at `path`; false if this connection holds none.
    pub fn release(&mut self, path: &str) -> bool {
        match &self.state {
            State::Held(answer) if self.path.as_deref() == Some(path) => {
                self.state = State::Writing(Output::answer(answer));
                true
            }
            _ => false,
        }
    }

    /// The request under way is over.
    pub fn forget_request(&mut self, ledger: &Mutex<Ledger>) {
        if let Some(path) = self.path.take() {
            ledger.lock().expect("poisoned").finish(&path);
        }
    }
}
