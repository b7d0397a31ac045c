//! A session that can go away without a word, as the process of a client that was killed does.
//!
//! Clients that are well made say goodbye or wait for answers. This one speaks just enough of the protocol
//! ("Frontend/Backend Protocol", version 3.0) to send a statement and be gone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::cluster::hostile;

/// Longer than any fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a statement did not do what it should.
#[derive(Debug)]
pub enum Trouble {
    /// The server said so, and the session goes on.
    Refused { sqlstate: String, message: String },
    /// The session is over.
    Gone,
}

impl From<io::Error> for Trouble {
    fn from(_: io::Error) -> Trouble {
        Trouble::Gone
    }
}

/// A session on a Unix socket, for somebody who is trusted.
pub struct Wire {
    stream: UnixStream,
}

impl Wire {
    pub fn connect(folder: &Path, port: u16, database: &str) -> Result<Wire, Trouble> {
        let stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut wire = Wire { stream };
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        let options = hostile::options(hostile::SUPERUSER).unwrap_or_default();
        let parameters = format!("user\0postgres\0database\0{database}\0options\0{options}\0\0");
        startup.extend(parameters.as_bytes());
        let length = u32::try_from(startup.len() + 4).unwrap_or(u32::MAX);
        wire.stream.write_all(&length.to_be_bytes())?;
        wire.stream.write_all(&startup)?;
        wire.until_ready()?;
        Ok(wire)
    }

    /// Runs statements; an error of any of them is an error.
    pub fn run(&mut self, script: &str) -> Result<(), Trouble> {
        self.send(script)?;
        self.until_ready()
    }

    /// Sends statements and waits for nothing.
    pub fn send(&mut self, script: &str) -> io::Result<()> {
        let length = u32::try_from(script.len() + 5).unwrap_or(u32::MAX);
        let mut message = vec![b'Q'];
        message.extend(length.to_be_bytes());
        message.extend(script.as_bytes());
        message.push(0);
        self.stream.write_all(&message)
    }

    fn until_ready(&mut self) -> Result<(), Trouble> {
        let mut refused = None;
        loop {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut rest = vec![0; (length as usize).saturating_sub(4)];
            self.stream.read_exact(&mut rest)?;
            match head[0] {
                b'E' => refused = Some(refusal(&rest)),
                b'Z' => return refused.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }
}

/// What an error says: fields that each begin with a letter and end with a zero. One that ends the session is
/// followed by nothing.
fn refusal(fields: &[u8]) -> Trouble {
    let field = |letter: u8| {
        let mut all = fields.split(|byte| *byte == 0);
        let found = all.find_map(|field| field.strip_prefix(&[letter]));
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    };
    Trouble::Refused {
        sqlstate: field(b'C'),
        message: field(b'M'),
    }
}
