//! One configuration of everything that an attempt uses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;

use super::dialer::Dialer;
use super::lookup::Lookups;
use super::resolver::Resolver;
use super::settings::Settings;
use super::socket::Sockets;
use super::tls::Tls;
use crate::domain::headers::{MAX_NAME_BYTES, MAX_VALUE_BYTES};

/// Bytes of a connection's buffer for what comes in, which is also the longest header of an answer.
const INPUT_BYTES: usize = 16 * 1024;

/// Bytes of a connection's buffer for what goes out. The longest line of a request, a header, must fit.
const OUTPUT_BYTES: usize = (MAX_NAME_BYTES + MAX_VALUE_BYTES + 4).next_multiple_of(1024);

/// Receivers close idle connections after 5 s (Node.js, Apache) to minutes. What they close is noticed, so
/// this only bounds how long descriptors and memory are kept.
const MAX_IDLE_AGE: Duration = Duration::from_secs(15);

/// For the body of an answer. The outcome is known by then, and a slot is worth more than the rest of it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What attempts are made with. Replaced as a whole when settings change.
pub struct Client {
    settings: Settings,
    config: Config,
    lookups: Arc<Lookups>,
    sockets: Arc<Sockets>,
    tls: Arc<Tls>,
}

impl Client {
    pub fn new(settings: Settings) -> Client {
        Client::build(settings, Arc::new(Lookups::default()))
    }

    /// The same client with other settings. Names that were looked up stay known; the addresses are
    /// checked again each time.
    pub fn with(&self, settings: Settings) -> Client {
        Client::build(settings, Arc::clone(&self.lookups))
    }

    fn build(settings: Settings, lookups: Arc<Lookups>) -> Client {
        Client {
            config: config(),
            lookups,
            sockets: Arc::new(Sockets::new(settings.max_threads)),
            tls: Arc::new(Tls::new(settings.ca_file.clone())),
            settings,
        }
    }

    pub fn capture_limit(&self) -> usize {
        self.settings.capture_limit
    }

    /// Most attempts at once: what the settings say, as far as there can be a socket for each.
    pub fn max_threads(&self) -> usize {
        self.settings.max_threads.min(self.sockets.most()).max(1)
    }

    fn agent(&self) -> Agent {
        Agent::with_parts(
            self.config.clone(),
            Dialer::new(Arc::clone(&self.tls), Arc::clone(&self.sockets)),
            Resolver::new(
                Arc::clone(&self.lookups),
                Arc::clone(&self.settings.address_rules),
            ),
        )
    }
}

/// Everything that ureq would do by itself is off: the request goes out as `domain::request` built it,
/// plus `Host` and `Content-Length`, and the answer comes back as it is.
fn config() -> Config {
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent("")
        .accept("")
        .accept_encoding("")
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .input_buffer_size(INPUT_BYTES)
        .output_buffer_size(OUTPUT_BYTES)
        .max_response_header_size(INPUT_BYTES)
        .max_idle_connections(2 * Group::SIZE)
        .max_idle_connections_per_host(Group::SIZE)
        .max_idle_age(MAX_IDLE_AGE)
        .build()
}

/// Threads that share an agent, and so its idle connections; goes with the last of them.
///
/// One agent for all threads makes them wait for its lock; one for each keeps connections apart that
/// could be shared.
#[derive(Default)]
pub struct Group {
    agent: Mutex<Option<(Arc<Client>, Agent)>>,
}

impl Group {
    /// Most threads in a group.
    pub const SIZE: usize = 8;

    /// The group's agent for `client`; the one of an earlier client goes, with its connections.
    pub fn agent(&self, client: &Arc<Client>) -> Agent {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*agent {
            Some((of, agent)) if Arc::ptr_eq(of, client) => agent.clone(),
            _ => agent.insert((Arc::clone(client), client.agent())).1.clone(),
        }
    }
}
