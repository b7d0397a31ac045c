use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pg_hooks_tests::receiver::Then;
use pg_hooks_tests::{Answer, Behaviour, Receiver, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// A client that writes and reads bytes as they are.
struct Client(TcpStream);

impl Client {
    fn connect(receiver: &Receiver) -> Self {
        let stream = TcpStream::connect(receiver.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Client(stream)
    }

    fn post(&mut self, path: &str, body: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nWebhook-Id: msg_key_42\r\nwebhook-attempt: 3\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    /// One answer of a declared length: head and body.
    fn answer(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    fn status(&mut self) -> u16 {
        self.answer().0[9..12].parse().unwrap()
    }

    fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).map(|_| rest)
    }
}

#[test]
fn request_is_logged_as_it_came() {
    let receiver = Receiver::start();
    let mut client = Client::connect(&receiver);
    client.post("/a?b=c", b"\x00\xffbody");
    assert_eq!(client.status(), 200);
    let [request] = receiver.requests("/a").try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/a?b=c")
    );
    assert_eq!((request.message_id(), request.attempt()), (Some(42), Some(3)));
    assert_eq!(
        (request.body.as_slice(), request.body_length),
        (&b"\x00\xffbody"[..], 6)
    );
    assert_eq!(
        request.headers[1],
        ("Webhook-Id".to_owned(), "msg_key_42".to_owned())
    );
}

#[test]
fn connection_is_kept_and_pipelined_requests_are_answered_in_turn() {
    let receiver = Receiver::start();
    receiver.on("/b", Answer::new(201).json("{}"));
    let mut client = Client::connect(&receiver);
    client.post("/a", b"");
    client.post("/b", b"x");
    assert_eq!(client.status(), 200);
    let (head, body) = client.answer();
    assert!(
        head.starts_with("HTTP/1.1 201 OK\r\ncontent-type: application/json\r\n"),
        "{head}"
    );
    assert_eq!(body, b"{}");
    let connections: Vec<u64> = receiver
        .all_requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [1, 1]);
}

#[test]
fn script_goes_through_its_behaviours_and_stays_at_the_last() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::failing(2, 503));
    let mut client = Client::connect(&receiver);
    let statuses = [(); 4].map(|()| {
        client.post("/", b"");
        client.status()
    });
    assert_eq!(statuses, [503, 503, 200, 200]);
}

#[test]
fn one_in_so_many_behaves_differently() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::OneIn(3, Box::new(Behaviour::status(503))));
    let mut client = Client::connect(&receiver);
    let statuses = [(); 7].map(|()| {
        client.post("/", b"");
        client.status()
    });
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503, 200]);
}

#[test]
fn delay_holds_back_one_answer_and_nobody_else() {
    const SLOW: Duration = Duration::from_secs(4);
    let receiver = Receiver::start();
    receiver.on("/slow", Behaviour::slow(SLOW));
    let (mut slow, mut fast) = (Client::connect(&receiver), Client::connect(&receiver));
    let begun = Instant::now();
    slow.post("/slow", b"");
    receiver.wait_for("/slow", 1, SOON);
    fast.post("/fast", b"");
    assert_eq!(fast.status(), 200);
    assert!(begun.elapsed() < SLOW);
    assert_eq!(slow.status(), 200);
    assert!(begun.elapsed() >= SLOW);
}

#[test]
fn hanging_request_is_answered_when_released() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::Hang);
    let mut clients = [(); 3].map(|()| Client::connect(&receiver));
    clients.iter_mut().for_each(|client| client.post("/", b""));
    receiver.wait_for("/", 3, SOON);
    clients[0]
        .0
        .set_read_timeout(Some(Duration::from_millis(30)))
        .unwrap();
    assert_eq!(clients[0].rest().unwrap_err().kind(), ErrorKind::WouldBlock);
    receiver.release("/");
    clients[0].0.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(clients.map(|mut client| client.status()), [200, 200, 200]);
    assert_eq!(receiver.peak_in_flight("/"), 3);
}

#[test]
fn client_that_leaves_a_hanging_request_is_forgotten() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::Hang);
    let mut client = Client::connect(&receiver);
    client.post("/", b"");
    receiver.wait_for("/", 1, SOON);
    drop(client);
    wait_until("the connection to close", SOON, || {
        receiver.open_connections() == 0
    });
}

#[test]
fn barrier_answers_nobody_until_all_have_come() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::Barrier(2, Answer::new(202)));
    let (mut first, mut second) = (Client::connect(&receiver), Client::connect(&receiver));
    first.post("/", b"");
    receiver.wait_for("/", 1, SOON);
    first.0.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    assert_eq!(first.rest().unwrap_err().kind(), ErrorKind::WouldBlock);
    second.post("/", b"");
    assert_eq!((first.status(), second.status()), (202, 202));
}

#[test]
fn drip_takes_its_time_for_each_byte_of_the_body() {
    let receiver = Receiver::start();
    receiver.on(
        "/",
        Behaviour::DripBody(Duration::from_millis(10), Answer::new(200).body("0123456789")),
    );
    let mut client = Client::connect(&receiver);
    let begun = Instant::now();
    client.post("/", b"");
    let (_, body) = client.answer();
    assert_eq!(body, b"0123456789");
    assert!(
        begun.elapsed() >= Duration::from_millis(90),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn reset_is_a_reset_and_close_is_an_orderly_end() {
    let receiver = Receiver::start();
    receiver.on("/reset", Behaviour::Reset);
    receiver.on("/close", Behaviour::Close);
    receiver.on("/silent", Answer::new(200).then(Then::CloseSilently));
    let ask = |path| {
        let mut client = Client::connect(&receiver);
        client.post(path, b"");
        client.rest()
    };
    assert_eq!(ask("/reset").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(ask("/close").unwrap(), b"");
    assert_eq!(
        ask("/silent").unwrap(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn raw_bytes_go_out_as_they_are() {
    let receiver = Receiver::start();
    receiver.on("/garbage", Behaviour::garbage());
    receiver.on("/truncated", Behaviour::truncated());
    let mut client = Client::connect(&receiver);
    client.post("/garbage", b"");
    assert!(client.rest().unwrap().starts_with(b"\x16\x03\x01"));
    let mut client = Client::connect(&receiver);
    client.post("/truncated", b"");
    assert!(client.rest().unwrap().ends_with(b"\r\n\r\n0123456789"));
}

#[test]
fn huge_answers_have_the_size_they_promise() {
    const HUGE: u64 = 100 << 20;
    let receiver = Receiver::start();
    receiver.on("/body", Behaviour::HugeBody(HUGE));
    receiver.on("/headers", Behaviour::many_headers(65_000));
    let mut client = Client::connect(&receiver);
    client.post("/body", b"");
    let (_, body) = client.answer();
    assert_eq!(body.len() as u64, HUGE);
    client.post("/headers", b"");
    let (head, _) = client.answer();
    assert_eq!(head.matches("x-filler-").count(), 65_000);
}

#[test]
fn no_content_answer_has_no_length() {
    let receiver = Receiver::start();
    receiver.on("/", Behaviour::status(204));
    let mut client = Client::connect(&receiver);
    client.post("/", b"");
    assert_eq!(client.answer().0, "HTTP/1.1 204 OK\r\n\r\n");
}

#[test]
fn what_is_no_request_is_counted_and_closed() {
    let receiver = Receiver::start();
    let mut client = Client::connect(&receiver);
    client.0.write_all(b"nonsense\r\n\r\n").unwrap();
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!((receiver.malformed(), receiver.count()), (1, 0));
}

#[test]
fn counting_receiver_keeps_ids_only() {
    let receiver = Receiver::counting();
    let mut client = Client::connect(&receiver);
    client.post("/", b"x");
    assert_eq!(client.status(), 200);
    let [arrival] = receiver.arrivals().try_into().unwrap();
    assert_eq!((arrival.message_id, arrival.attempt), (42, 3));
    assert!(receiver.all_requests().is_empty());
}
