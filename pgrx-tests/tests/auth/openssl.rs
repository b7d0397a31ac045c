//! An https server of the openssl program: another implementation of TLS than the one that is tested.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

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
        let mut output = BufReader::new(shell.stdout.take().expect("an output"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            let amount = output.read_line(&mut line).expect("output");
            assert!(amount > 0, "openssl did not start: {options:?}");
            if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
                break address.rsplit(':').next().unwrap().parse().expect("a port");
            }
        };
        // Nobody reads on, and a full pipe would stop the server.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        OpenSsl {
            input: shell.stdin.take(),
            shell,
            port,
        }
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
