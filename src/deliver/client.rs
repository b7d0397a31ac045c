//! One configuration of everything that an attempt uses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::config::Config;

use super::descriptors::Descriptors;
use super::dialer::Dialer;
use super::idle::Idle;
use super::interfaces::Interfaces;
use super::lookup::Lookups;
use super::resolver::Resolver;
use super::settings::Settings;
use super::tls::Tls;
use super::tokens::Tokens;
use crate::domain::auth::Certificate;

/// Most bytes that came in and were not read, which is also the longest header of an answer.
const INPUT_BYTES: usize = 16 * 1024;

/// For the body of an answer. The outcome is known by then, and a slot is worth more than the rest of it.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What attempts are made with. Replaced as a whole when settings change.
pub struct Client {
    settings: Settings,
    config: Config,
    lookups: Arc<Lookups>,
    interfaces: Arc<Interfaces>,
    descriptors: Arc<Descriptors>,
    idle: Arc<Idle>,
    tls: Arc<Tls>,
    tokens: Arc<Tokens>,
    max_threads: usize,
}

impl Client {
    pub fn new(settings: Settings) -> Client {
        let descriptors = Arc::new(Descriptors::new(settings.max_threads));
        Client::build(
            settings,
            Arc::default(),
            Arc::default(),
            Arc::default(),
            descriptors,
        )
    }

    /// The same client with other settings. Names that were looked up stay known, as do tokens; the
    /// addresses are checked again each time.
    pub fn with(&self, settings: Settings) -> Client {
        self.descriptors.adapt(settings.max_threads);
        let lookups = Arc::clone(&self.lookups);
        let interfaces = Arc::clone(&self.interfaces);
        let tokens = Arc::clone(&self.tokens);
        Client::build(
            settings,
            lookups,
            interfaces,
            tokens,
            Arc::clone(&self.descriptors),
        )
    }

    fn build(
        settings: Settings,
        lookups: Arc<Lookups>,
        interfaces: Arc<Interfaces>,
        tokens: Arc<Tokens>,
        descriptors: Arc<Descriptors>,
    ) -> Client {
        Client {
            config: config(),
            lookups,
            interfaces,
            max_threads: settings.max_threads.min(descriptors.most()).max(1),
            descriptors,
            idle: Arc::default(),
            tls: Arc::new(Tls::new(settings.ca_file.clone())),
            tokens,
            settings,
        }
    }

    pub fn capture_limit(&self) -> usize {
        self.settings.capture_limit
    }

    /// Waits a moment for a descriptor to be given back.
    pub fn pause(&self) {
        self.descriptors.pause();
    }

    /// Most attempts at once: what the settings say, as far as there can be a socket for each.
    pub fn max_threads(&self) -> usize {
        self.max_threads
    }

    /// What the operator should know if there are not as many attempts at once as the settings say.
    pub fn shortfall(&self) -> Option<String> {
        let (asked, most) = (self.settings.max_threads, self.max_threads);
        let (limit, sockets) = self.descriptors.limit();
        (most < asked).then(|| {
            format!(
                "makes at most {most} attempts at once instead of {asked}: the process may open {limit} files, \
                 and {} of them are left to PostgreSQL",
                limit.saturating_sub(sockets)
            )
        })
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.idle.sweep(Instant::now());
    }

    /// Closes the idle connections, and keeps none any more, as another client takes over.
    pub fn retire(&self) {
        self.idle.close();
    }

    #[cfg(test)]
    pub fn descriptors(&self) -> Arc<Descriptors> {
        Arc::clone(&self.descriptors)
    }

    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What the operator should know if no server can be trusted, as `ca_file` is of no use.
    pub fn distrust(&self) -> Option<String> {
        let file = self.settings.ca_file.as_ref()?;
        let problem = self.tls.problem()?;
        Some(format!(
            "trusts no https server, as hooks.ca_file \"{}\" cannot be used: {problem}",
            file.display()
        ))
    }

    /// An agent that shows `certificate` to servers that ask for one. To make one for each attempt takes
    /// less time than a request.
    pub fn agent_with(&self, certificate: &Arc<Certificate>) -> Agent {
        self.agent(Some(Arc::clone(certificate)))
    }

    fn agent(&self, certificate: Option<Arc<Certificate>>) -> Agent {
        Agent::with_parts(
            self.config.clone(),
            Dialer {
                certificate,
                tls: Arc::clone(&self.tls),
                descriptors: Arc::clone(&self.descriptors),
                idle: Arc::clone(&self.idle),
                lookups: Arc::clone(&self.lookups),
                proxy: self.settings.proxy.clone(),
            },
            Resolver::new(
                Arc::clone(&self.lookups),
                Arc::clone(&self.settings.address_rules),
                Arc::clone(&self.interfaces),
            ),
        )
    }
}

/// Everything that ureq would do by itself is off, a proxy that the environment names included: the request goes
/// out as `domain::request` built it, plus `Host` and `Content-Length`, and the answer comes back as it is.
pub(super) fn config() -> Config {
    Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent("")
        .accept("")
        .accept_encoding("")
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .input_buffer_size(INPUT_BYTES)
        .max_response_header_size(INPUT_BYTES)
        // Ours are kept by the dialer.
        .max_idle_connections(0)
        .max_idle_connections_per_host(0)
        .build()
}

/// Threads that share an agent; goes with the last of them.
///
/// One agent for all threads makes them wait for its lock; one for each takes memory.
#[derive(Default)]
pub struct Group {
    agent: Mutex<Option<(Arc<Client>, Agent)>>,
}

impl Group {
    /// Most threads in a group.
    pub const SIZE: usize = 8;

    /// The group's agent for `client`; the one of an earlier client goes.
    pub fn agent(&self, client: &Arc<Client>) -> Agent {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*agent {
            Some((of, agent)) if Arc::ptr_eq(of, client) => agent.clone(),
            _ => agent.insert((Arc::clone(client), client.agent(None))).1.clone(),
        }
    }
}
