//! The HTTP proxy that an administrator may have requests go through.

use std::net::IpAddr;

use super::endpoint::{Endpoint, Scheme};

/// Where the proxy is. It takes `CONNECT` over plain http and asks for no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    literal_address: Option<IpAddr>,
}

impl Proxy {
    /// The proxy that a URL such as `http://proxy.example.com:3128` names; none for an empty text.
    ///
    /// # Errors
    /// One line that says what is wrong, with nothing of the text in it.
    pub fn parse(text: &str) -> Result<Option<Proxy>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let url = Endpoint::parse(text).map_err(|invalid| invalid.message)?;
        if url.scheme() != Scheme::Http {
            return Err("URL of a proxy has a scheme other than http".to_owned());
        }
        if url.uri().path() != "/" || url.uri().query().is_some() {
            return Err("URL of a proxy has a path or a query".to_owned());
        }
        Ok(Some(Proxy {
            host: url.host().to_owned(),
            port: url.port(),
            literal_address: url.literal_address(),
        }))
    }

    /// A name in ASCII, an IPv4 address, or an IPv6 one in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn literal_address(&self) -> Option<IpAddr> {
        self.literal_address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_more_than_host_and_port_names_a_proxy() {
        for (text, host, port) in [
            ("http://proxy.example.com:3128", "proxy.example.com", 3128),
            ("http://PROXY/", "proxy", 80),
            ("http://127.1:8080", "127.0.0.1", 8080),
            ("http://[::1]:3128/", "[::1]", 3128),
        ] {
            let proxy = Proxy::parse(text).unwrap().unwrap();
            assert_eq!((proxy.host(), proxy.port()), (host, port));
            let bare = host.trim_matches(['[', ']']);
            assert_eq!(proxy.literal_address(), bare.parse().ok());
        }
        assert_eq!(Proxy::parse(""), Ok(None));
        assert_eq!(Proxy::parse(" "), Ok(None));
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, message) in [
            ("proxy", "URL is not absolute"),
            (
                "proxy.example.com:3128",
                "URL has a scheme other than http and https",
            ),
            (
                "https://proxy:3128",
                "URL of a proxy has a scheme other than http",
            ),
            (
                "socks5://proxy:1080",
                "URL has a scheme other than http and https",
            ),
            (
                "http://user:hunter2@proxy:3128",
                "URL contains a user name or password",
            ),
            ("http://proxy:3128/path", "URL of a proxy has a path or a query"),
            ("http://proxy:3128/?q", "URL of a proxy has a path or a query"),
        ] {
            assert_eq!(Proxy::parse(text).unwrap_err(), message, "{text}");
        }
    }
}
