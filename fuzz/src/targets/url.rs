//! URLs of queues, and of a proxy.

use pg_hooks::domain::endpoint::{Endpoint, MAX_URL_BYTES};
use pg_hooks::domain::proxy::Proxy;

/// What is accepted means the same to the HTTP client, is written in one way, and hides no user name.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let endpoint = match Endpoint::parse(text) {
        Ok(endpoint) => endpoint,
        Err(invalid) => {
            assert!(!invalid.message.is_empty() && invalid.hint.ends_with('.'));
            return;
        }
    };
    let uri = endpoint.uri();
    assert_eq!(uri.scheme_str(), Some(endpoint.scheme().as_str()));
    assert_eq!(uri.host(), Some(endpoint.host()));
    assert_eq!(
        uri.port_u16().unwrap_or(endpoint.scheme().default_port()),
        endpoint.port()
    );
    assert_ne!(endpoint.port(), 0);
    assert!(endpoint.as_str().is_ascii() && endpoint.as_str().len() <= MAX_URL_BYTES);
    assert!(
        uri.authority()
            .is_some_and(|authority| !authority.as_str().contains('@'))
    );
    assert_eq!(Endpoint::parse(endpoint.as_str()).as_ref(), Ok(&endpoint));
    if let Some(ip) = endpoint.literal_address() {
        assert_eq!(endpoint.host().trim_matches(['[', ']']).parse(), Ok(ip));
    } else {
        assert!(endpoint.host().parse::<std::net::IpAddr>().is_err());
    }
    if let Ok(Some(proxy)) = Proxy::parse(text) {
        assert_eq!((proxy.host(), proxy.port()), (endpoint.host(), endpoint.port()));
    }
}
