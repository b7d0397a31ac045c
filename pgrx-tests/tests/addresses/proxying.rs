//! A proxy that is set, and those that are not to be used.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Cluster, wait_until};

/// A proxy that leads wherever it is asked to, on this machine.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                thread::spawn(move || serve(client, &noted));
            }
        });
        Proxy { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The first lines of what it was asked.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("requests").clone()
    }
}

fn serve(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        header.extend(byte);
    }
    let header = String::from_utf8_lossy(&header).into_owned();
    let line = header.lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("requests").push(line.clone());
    let target: SocketAddr = line.split(' ').nth(1)?.parse().ok()?;
    if !target.ip().is_loopback() {
        return None;
    }
    let server = TcpStream::connect(target).ok()?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .ok()?;
    let pass = |mut from: TcpStream, mut to: TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    let (from, to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || pass(from, to));
    pass(client, server);
    Some(())
}

#[test]
fn proxy_of_the_environment_is_not_used() {
    let proxy = Proxy::start();
    let names = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let builder = names.iter().fold(Cluster::builder(), |builder, name| {
        builder.environment(name, &proxy.url())
    });
    let mut site = Site::on(Box::leak(Box::new(builder.start())));
    site.queue("direct", "");
    site.run("select hooks.send('direct', 'x')");
    site.arrival("direct");
    site.settle();
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
}

#[test]
fn proxy_that_is_set_is_asked_for_the_address_that_was_checked() {
    let proxy = Proxy::start();
    let cluster: &'static Cluster = Box::leak(Box::new(
        Cluster::builder().setting("hooks.proxy", &proxy.url()).start(),
    ));
    let mut site = Site::on(cluster);
    site.queue("through", "");
    let url = site.receiver.url("/named").replace("127.0.0.1", "localhost");
    site.run(&format!(
        "select hooks.create_queue('named', '{url}', max_attempts => 1)"
    ));
    site.run("select hooks.send('through', 'x'); select hooks.send('named', 'x')");
    let through = site.arrival("through");
    assert_eq!(through.body, b"x");
    site.arrival("named");
    site.settle();
    let port = site
        .receiver
        .url("")
        .rsplit_once(':')
        .expect("a port")
        .1
        .to_owned();
    let port = port.trim_end_matches('/');
    for line in proxy.asked() {
        assert!(line.ends_with(&format!(":{port} HTTP/1.1")), "{line}");
        let address = line
            .strip_prefix("CONNECT ")
            .and_then(|rest| rest.split(' ').next());
        let address: SocketAddr = address.expect(&line).parse().expect("an address, not a name");
        assert!(address.ip().is_loopback());
    }
    assert!(proxy.asked().len() >= 2);

    // Denied is denied, through a proxy too.
    let asked = proxy.asked().len();
    cluster.reload(&[("hooks.allowed_networks", "")]);
    wait_until("an attempt to be refused", SOON, || {
        site.run("select hooks.send('named', 'x')");
        site.settle();
        site.value::<bool>("select exists (select from hooks.attempt where error_class = 'blocked')")
    });
    let asked_until_refused = proxy.asked().len();
    site.run("select hooks.send('named', 'x')");
    site.settle();
    assert_eq!(proxy.asked().len(), asked_until_refused);
    assert!(asked_until_refused >= asked);

    cluster.reload(&[
        ("hooks.allowed_networks", "127.0.0.0/8, ::1/128"),
        ("hooks.proxy", ""),
    ]);
    site.wait_until("select current_setting('hooks.proxy') = ''");
    site.queue("direct", "");
    wait_until("requests to go directly", SOON, || {
        let asked = proxy.asked().len();
        site.run("select hooks.send('direct', 'x')");
        site.settle();
        proxy.asked().len() == asked
    });
    assert!(site.arrived("direct") >= 1);
}
