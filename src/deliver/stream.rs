//! What the bytes of a connection go over.

use std::io::{self, Read, Write};

use super::socket::Socket;
use super::tls::{self, TlsStream};

/// A socket, with TLS or without.
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl Stream {
    pub fn socket(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => tls::read(stream, buffer),
        }
    }

    /// Whether nothing came in that was not read.
    pub fn is_read_up(&mut self) -> bool {
        match self {
            Stream::Plain(_) => true,
            Stream::Tls(stream) => {
                let state = stream.conn.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0)
            }
        }
    }
}
