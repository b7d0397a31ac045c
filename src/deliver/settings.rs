//! What the server's settings say about delivery.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::address::AddressRules;
use crate::domain::proxy::Proxy;

/// Settings of the pool; all of them may change while it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most attempts under way at once, from 1. Fewer if the process may not open that many sockets.
    pub max_threads: usize,
    /// Most bytes kept of an answer's body.
    pub capture_limit: usize,
    /// Which addresses may be dialled.
    pub address_rules: Arc<AddressRules>,
    /// What to go through; `None` to dial the receiver itself.
    pub proxy: Option<Proxy>,
    /// PEM file of the only certificate authorities to trust; `None` for those of the operating system.
    pub ca_file: Option<PathBuf>,
}
