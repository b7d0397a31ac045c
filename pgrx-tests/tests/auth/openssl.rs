//! An https server of the openssl program: another implementation of TLS than the one that is tested.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::channel;

use pg_hooks_tests::site::SOON;

use crate::pki::{Issued, file};

/// Has openssl end when its input ends, and so with the process that started it, however that ends.
const RUN: &str = r#"
openssl s_server -accept 127.0.0.1:0 -www "$@" < /dev/null &
server=$!
cat > /dev/null
kill "$server"
"#;

/// Answers each GET with a page about the connection. Gone with the value.
pub struct OpenSsl {
    shell: Child,
    input: Option<ChildStdin>,
    port: u16,
}

impl OpenSsl {
    /// Starts a server of this identity with further options of `openssl s_server`.
    #[track_caller]
    pub fn start(identity: &Issued, options: &[&str]) -> OpenSsl {
        let certificate = file("server.pem", &identity.certificate);
        let key = file("server.key", &identity.key);
        let mut shell = Command::new("sh")
            .args(["-c", RUN, "openssl", "-cert"])
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no shell");
        let output = shell.stdout.take().expect("an output");
        let mut server = OpenSsl {
            input: shell.stdin.take(),
            shell,
            port: 0,
        };
        let (tell, told) = channel();
        // Reads on to the end: a full pipe would stop the server.
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
                    let _ = tell.send(address.rsplit(':').next().map(str::parse));
                }
            }
        });
        server.port = match told.recv_timeout(SOON) {
            Ok(Some(Ok(port))) => port,
            other => panic!("openssl did not start with {options:?}: {other:?}"),
        };
        server
    }

    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}
