//! Tokens that are in use, each asked for by one attempt at a time.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::token_request::{Miss, PAUSE};
use crate::domain::auth::{AuthHeader, Certificate, ClientCredentials, Grant};

/// A new token is asked for so long before the old one ends, or a quarter of its lifetime.
const EARLY: Duration = Duration::from_secs(60);

/// A token is not used any more so long before it ends, or a tenth of its lifetime: a request takes a
/// moment, and clocks differ.
const LATE: Duration = Duration::from_secs(5);

/// A wallet that no queue holds and nobody has used for this long is thrown away.
const KEEP: Duration = Duration::from_secs(60);

/// The tokens of all queues. Those with the same credentials share one; whoever changes his gets another.
#[derive(Default)]
pub struct Tokens {
    wallets: Mutex<HashMap<Owner, Arc<Wallet>>>,
}

/// To whom a token was given. A token may be bound to the certificate that it was asked for with (RFC 8705).
struct Owner {
    credentials: Arc<ClientCredentials>,
    certificate: Option<Arc<Certificate>>,
}

impl Owner {
    fn certificate(&self) -> *const Certificate {
        self.certificate.as_ref().map_or(ptr::null(), Arc::as_ptr)
    }

    /// Whether no queue has these credentials any more.
    fn is_gone(&self) -> bool {
        Arc::strong_count(&self.credentials) == 1
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Owner) -> bool {
        self.certificate() == other.certificate() && self.credentials == other.credentials
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.credentials.hash(state);
    }
}

impl Tokens {
    /// Where the token for these credentials is.
    pub fn wallet(
        &self,
        credentials: &Arc<ClientCredentials>,
        certificate: Option<&Arc<Certificate>>,
    ) -> Arc<Wallet> {
        let owner = Owner {
            credentials: Arc::clone(credentials),
            certificate: certificate.map(Arc::clone),
        };
        let mut wallets = self.wallets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wallet) = wallets.get(&owner) {
            return Arc::clone(wallet);
        }
        let now = Instant::now();
        wallets.retain(|owner, wallet| !(owner.is_gone() && wallet.is_forgotten(now)));
        let wallet = Arc::new(Wallet::new(now));
        wallets.insert(owner, Arc::clone(&wallet));
        wallet
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.wallets.lock().unwrap().len()
    }
}

/// One token, or why there is none.
pub struct Wallet {
    state: Mutex<State>,
    landed: Condvar,
}

struct State {
    token: Option<Arc<Token>>,
    /// Whether somebody asks for one right now.
    asking: bool,
    /// What the endpoint said last, and until when it is left alone.
    refusal: Option<(String, Instant)>,
    used_at: Instant,
}

/// A token that was granted.
#[derive(Debug)]
pub struct Token {
    pub header: AuthHeader,
    granted_at: Instant,
    refresh_at: Instant,
    ends_at: Instant,
    /// Whether a receiver did not accept the one before.
    replaces_rejected: bool,
}

impl Token {
    /// From a grant that was asked for at `asked_at`.
    fn new(grant: Grant, asked_at: Instant, replaces_rejected: bool) -> Token {
        let Grant { header, lifetime } = grant;
        Token {
            header,
            granted_at: asked_at,
            refresh_at: asked_at + (lifetime - EARLY.min(lifetime / 4)),
            ends_at: asked_at + (lifetime - LATE.min(lifetime / 10)),
            replaces_rejected,
        }
    }
}

/// What an attempt that needs a token shall do.
enum Step {
    Use(Arc<Token>),
    Ask { at_most: Duration },
    Wait,
    GiveUp(String),
}

impl State {
    /// `rejected` is a token that a receiver did not accept.
    fn step(&self, rejected: Option<&Arc<Token>>, left: Duration, now: Instant) -> Step {
        let token = self.usable(rejected, now);
        let at_rest = self.refusal.as_ref().filter(|(_, until)| now < *until);
        match (token, at_rest) {
            // In good time, by one attempt, which must still have time to send; the others go on with the old one.
            (Some(token), None) if now >= token.refresh_at && !self.asking => Step::Ask { at_most: left / 2 },
            (Some(token), _) => Step::Use(Arc::clone(token)),
            (None, _) if self.asking => Step::Wait,
            (None, Some((detail, _))) => Step::GiveUp(detail.clone()),
            (None, None) => Step::Ask { at_most: left },
        }
    }

    fn usable(&self, rejected: Option<&Arc<Token>>, now: Instant) -> Option<&Arc<Token>> {
        let token = self.token.as_ref()?;
        let is_rejected = rejected.is_some_and(|rejected| Arc::ptr_eq(rejected, token));
        (now < token.ends_at && !is_rejected).then_some(token)
    }
}

impl Wallet {
    fn new(now: Instant) -> Wallet {
        Wallet {
            state: Mutex::new(State {
                token: None,
                asking: false,
                refusal: None,
                used_at: now,
            }),
            landed: Condvar::new(),
        }
    }

    /// A token that has not ended. `ask` gets a new one by the time that it is given; it is called by one
    /// attempt at a time, for which the others wait, each until its own `deadline`.
    pub fn token(
        &self,
        deadline: Instant,
        ask: impl FnOnce(Instant) -> Result<Grant, Miss>,
    ) -> Result<Arc<Token>, Miss> {
        self.obtain(None, deadline, ask)
    }

    /// Another token than `rejected`, which a receiver did not accept. `None` when there is none, and when
    /// that one was itself got for this reason a moment ago: another token is not what the receiver wants.
    pub fn replacement(
        &self,
        rejected: &Arc<Token>,
        deadline: Instant,
        ask: impl FnOnce(Instant) -> Result<Grant, Miss>,
    ) -> Option<Arc<Token>> {
        if rejected.replaces_rejected && rejected.granted_at.elapsed() < PAUSE {
            return None;
        }
        self.obtain(Some(rejected), deadline, ask).ok()
    }

    fn obtain(
        &self,
        rejected: Option<&Arc<Token>>,
        deadline: Instant,
        ask: impl FnOnce(Instant) -> Result<Grant, Miss>,
    ) -> Result<Arc<Token>, Miss> {
        let mut state = self.state();
        let at_most = loop {
            let now = Instant::now();
            state.used_at = now;
            let left = deadline.saturating_duration_since(now);
            match state.step(rejected, left, now) {
                Step::Use(token) => return Ok(token),
                Step::GiveUp(detail) => return Err(refused(detail)),
                Step::Wait | Step::Ask { .. } if left.is_zero() => {
                    return Err(refused(
                        "the token endpoint takes longer than the timeout".to_owned(),
                    ));
                }
                Step::Ask { at_most } => break at_most,
                Step::Wait => {
                    let waited = self.landed.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        };
        state.asking = true;
        drop(state);
        let asking = Asking(self);
        let asked_at = Instant::now();
        let answer = ask(asked_at + at_most);
        asking.end(answer, asked_at, rejected)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let state = self.state();
        !state.asking && now.saturating_duration_since(state.used_at) > KEEP
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt asks for a token. Whatever becomes of it, others may ask afterwards.
struct Asking<'a>(&'a Wallet);

impl Asking<'_> {
    /// Notes what came of it. A failure is no matter while an older token can still be used.
    fn end(
        self,
        answer: Result<Grant, Miss>,
        asked_at: Instant,
        rejected: Option<&Arc<Token>>,
    ) -> Result<Arc<Token>, Miss> {
        let now = Instant::now();
        let mut state = self.0.state();
        match answer {
            Ok(grant) => {
                let token = Arc::new(Token::new(grant, asked_at, rejected.is_some()));
                state.token = Some(Arc::clone(&token));
                state.refusal = None;
                Ok(token)
            }
            Err(miss) => {
                if let Miss::Refused { detail, pause } = &miss {
                    state.refusal = Some((detail.clone(), now + *pause));
                }
                let older = state.usable(rejected, now).map(Arc::clone);
                older.ok_or(miss)
            }
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.state().asking = false;
        self.0.landed.notify_all();
    }
}

fn refused(detail: String) -> Miss {
    Miss::Refused {
        detail,
        pause: Duration::ZERO,
    }
}
