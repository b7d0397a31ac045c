//! Every setting of the extension: its unit, range and context. Nothing else reads a setting.
//!
//! All can be changed in `postgresql.conf` and by `ALTER SYSTEM`, and take effect at reload. None can
//! be changed by a session: what a setting bounds is shared by everyone.

mod check;

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

use crate::domain::address::AddressRules;
use crate::domain::proxy::Proxy;

static MAX_IN_FLIGHT: GucSetting<i32> = GucSetting::<i32>::new(256);
static WORKERS: GucSetting<i32> = GucSetting::<i32>::new(1);
static MAX_BODY_SIZE: GucSetting<i32> = GucSetting::<i32>::new(1 << 20);
static RESPONSE_CAPTURE: GucSetting<i32> = GucSetting::<i32>::new(16 << 10);
static RESCAN_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static IDEMPOTENCY_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(86_400_000);
static HISTORY_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * DAY_SECONDS);
static ATTEMPT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * DAY_SECONDS);
static DEAD_LETTER_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(-1);
/// 5 days, as Svix has it.
static DISABLE_AFTER: GucSetting<i32> = GucSetting::<i32>::new(432_000);
static START_PAUSED: GucSetting<bool> = GucSetting::<bool>::new(false);
static ALLOWED_NETWORKS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static DENIED_NETWORKS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static ALLOWED_PORTS: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"80, 443, 1024-65535"));
static TRACEPARENT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static PROXY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static REQUIRE_HTTPS: GucSetting<bool> = GucSetting::<bool>::new(true);
static CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

#[cfg(feature = "faults")]
static FAULTS: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

static SECRET_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static SECRET_DIRECTORY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// Largest body a message may ever have, whatever `hooks.max_body_size` says: 64 MiB.
const BODY_SIZE_CAP: i32 = 64 << 20;
/// Largest part of a response that is ever kept: 1 MiB.
const RESPONSE_CAPTURE_CAP: i32 = 1 << 20;
const DAY_SECONDS: i32 = 86_400;
/// Longest time for which history is kept, unless for good: ten years.
const RETENTION_CAP: i32 = 3650 * DAY_SECONDS;

/// Defines all settings and reserves their prefix.
pub fn register() {
    let int = |name, short, long, setting, min, max, flags| {
        GucRegistry::define_int_guc(name, short, long, setting, min, max, GucContext::Sighup, flags);
    };
    int(
        c"hooks.max_in_flight",
        c"Messages of one database that may be on the wire at once.",
        c"Each takes an I/O thread while its receiver is waited for; threads are started on demand.",
        &MAX_IN_FLIGHT,
        1,
        4096,
        GucFlags::default(),
    );
    int(
        c"hooks.workers",
        c"Background workers of each database that has the extension.",
        c"One leads and delivers; the others wait and take over when it ends.",
        &WORKERS,
        1,
        8,
        GucFlags::default(),
    );
    int(
        c"hooks.max_body_size",
        c"Largest body that a message may have.",
        c"Larger ones are refused when they are stored. At most 64 MiB.",
        &MAX_BODY_SIZE,
        0,
        BODY_SIZE_CAP,
        GucFlags::UNIT_BYTE,
    );
    int(
        c"hooks.response_capture",
        c"How much of a response body is kept with the attempt.",
        c"The rest is read and dropped, or the connection is closed.",
        &RESPONSE_CAPTURE,
        0,
        RESPONSE_CAPTURE_CAP,
        GucFlags::UNIT_BYTE,
    );
    int(
        c"hooks.rescan_interval",
        c"How often the leader looks for due messages that nothing told it of.",
        c"Only prepared transactions and replicated changes need this; every other commit wakes the leader.",
        &RESCAN_INTERVAL,
        100,
        86_400_000,
        GucFlags::UNIT_MS,
    );
    int(
        c"hooks.idempotency_window",
        c"How long an idempotency key is remembered.",
        c"Within this time a repeated hooks.send() or hooks.publish() with its key makes nothing.",
        &IDEMPOTENCY_WINDOW,
        1_000,
        1_209_600_000,
        GucFlags::UNIT_MS,
    );
    int(
        c"hooks.history_retention",
        c"How long finished messages stay in hooks.message_log.",
        c"They go by whole days, in UTC; 0 keeps each day until it is over, and -1 keeps all for good.",
        &HISTORY_RETENTION,
        -1,
        RETENTION_CAP,
        GucFlags::UNIT_S,
    );
    int(
        c"hooks.attempt_retention",
        c"How long attempts stay in hooks.attempt.",
        c"They go by whole days, in UTC; 0 keeps each day until it is over, and -1 keeps all for good.",
        &ATTEMPT_RETENTION,
        -1,
        RETENTION_CAP,
        GucFlags::UNIT_S,
    );
    int(
        c"hooks.dead_letter_retention",
        c"How long dead letters stay in hooks.dead_letter.",
        c"0 removes them at the next rescan; -1 keeps them until somebody redrives or deletes them.",
        &DEAD_LETTER_RETENTION,
        -1,
        RETENTION_CAP,
        GucFlags::UNIT_S,
    );
    int(
        c"hooks.disable_after",
        c"How long a queue may do nothing but fail before it is disabled.",
        c"Its messages are kept, and hooks.resume() enables it. 0 for never.",
        &DISABLE_AFTER,
        0,
        RETENTION_CAP,
        GucFlags::UNIT_S,
    );
    GucRegistry::define_bool_guc(
        c"hooks.start_paused",
        c"Nothing is sent from a database until hooks.adopt() is called in it.",
        c"For a server that is a copy of another one. Counts from each start of the server anew.",
        &START_PAUSED,
        GucContext::Sighup,
        GucFlags::default(),
    );
    let checked = |name, short, long, setting, hook| {
        check::define(name, short, long, setting, GucContext::Sighup, hook);
    };
    checked(
        c"hooks.allowed_networks",
        c"Networks that queues may reach besides the public internet.",
        c"Comma-separated CIDR blocks. Loopback, private and reserved addresses and those of this server are denied unless listed here.",
        &ALLOWED_NETWORKS,
        check::networks,
    );
    checked(
        c"hooks.denied_networks",
        c"Networks that queues may never reach.",
        c"Comma-separated CIDR blocks. They win over hooks.allowed_networks.",
        &DENIED_NETWORKS,
        check::networks,
    );
    checked(
        c"hooks.allowed_ports",
        c"Ports that queues may reach.",
        c"Comma-separated ports and ranges, for any address.",
        &ALLOWED_PORTS,
        check::ports,
    );
    checked(
        c"hooks.proxy",
        c"URL of the HTTP proxy through which requests go.",
        c"Such as http://proxy.example.com:3128. It is asked to CONNECT to addresses that were checked here. Empty for none; the environment is not looked at.",
        &PROXY,
        check::proxy,
    );
    check::define(
        c"hooks.traceparent",
        c"Trace that the messages of this session belong to.",
        c"A traceparent of W3C Trace Context, sent on as a header of each message that has none. Empty for none.",
        &TRACEPARENT,
        GucContext::Userset,
        check::traceparent,
    );
    GucRegistry::define_bool_guc(
        c"hooks.require_https",
        c"Whether plain http is refused except to the allowed networks.",
        c"",
        &REQUIRE_HTTPS,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"hooks.ca_file",
        c"PEM file of certificate authorities to trust instead of those of the operating system.",
        c"",
        &CA_FILE,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"hooks.secret_key_file",
        c"File of the keys that secrets are encrypted with while they are stored.",
        c"The first key encrypts, all decrypt. Empty: secrets are stored as they are.",
        &SECRET_KEY_FILE,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"hooks.secret_directory",
        c"Folder of the files that hooks.set_secret_file() may name.",
        c"",
        &SECRET_DIRECTORY,
        GucContext::Sighup,
        GucFlags::default(),
    );
    #[cfg(feature = "faults")]
    check::define_faults(&FAULTS);
    #[cfg(not(feature = "pg14"))]
    reserve_prefix();
}

/// Makes a misspelt `hooks.` setting an error instead of a silent placeholder.
#[cfg(not(feature = "pg14"))]
fn reserve_prefix() {
    crate::wake::reserve_setting_prefix(c"hooks");
}

/// Messages that may be on the wire at once.
pub fn max_in_flight() -> usize {
    usize::try_from(MAX_IN_FLIGHT.get()).unwrap_or(1)
}

/// Workers per database.
pub fn workers() -> usize {
    usize::try_from(WORKERS.get()).unwrap_or(1)
}

/// Largest body in bytes.
pub fn max_body_size() -> usize {
    usize::try_from(MAX_BODY_SIZE.get()).unwrap_or(0)
}

/// Bytes of a response body that are kept.
pub fn response_capture() -> usize {
    usize::try_from(RESPONSE_CAPTURE.get()).unwrap_or(0)
}

/// Time between full rescans.
pub fn rescan_interval() -> Duration {
    Duration::from_millis(u64::try_from(RESCAN_INTERVAL.get()).unwrap_or(1))
}

/// How long a queue may do nothing but fail; `None` for ever.
pub fn disable_after() -> Option<Duration> {
    let seconds = u64::try_from(DISABLE_AFTER.get()).unwrap_or(0);
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// Whether databases wait for `hooks.adopt()`.
pub fn start_paused() -> bool {
    START_PAUSED.get()
}

/// How long an idempotency key is remembered.
pub fn idempotency_window() -> Duration {
    Duration::from_millis(u64::try_from(IDEMPOTENCY_WINDOW.get()).unwrap_or(0))
}

/// Seconds that each part of the history is kept; negative for good.
#[derive(Clone, Copy)]
pub struct Retention {
    pub messages: i32,
    pub attempts: i32,
    pub dead_letters: i32,
}

/// How long history is kept.
pub fn retention() -> Retention {
    Retention {
        messages: HISTORY_RETENTION.get(),
        attempts: ATTEMPT_RETENTION.get(),
        dead_letters: DEAD_LETTER_RETENTION.get(),
    }
}

/// The address rules as set, or what is wrong with one of their settings.
pub fn address_rules() -> Result<AddressRules, String> {
    AddressRules::parse(&text(&ALLOWED_NETWORKS), REQUIRE_HTTPS.get())?
        .denying(&text(&DENIED_NETWORKS))?
        .on_ports(&text(&ALLOWED_PORTS))
}

/// The proxy, if one is set, or what is wrong with it.
pub fn proxy() -> Result<Option<Proxy>, String> {
    Proxy::parse(&text(&PROXY))
}

/// Whether this session says what trace its messages belong to.
pub fn is_traced() -> bool {
    TRACEPARENT.get().is_some_and(|value| !value.is_empty())
}

fn text(setting: &GucSetting<Option<CString>>) -> String {
    let value = setting.get().unwrap_or_default();
    value.to_string_lossy().into_owned()
}

/// The file of certificate authorities, if one is set.
pub fn ca_file() -> Option<PathBuf> {
    path(&CA_FILE)
}

/// The file of the keys that secrets are encrypted with, if one is set.
pub fn secret_key_file() -> Option<PathBuf> {
    path(&SECRET_KEY_FILE)
}

/// The folder of files that hold secrets, if one is set.
pub fn secret_directory() -> Option<PathBuf> {
    path(&SECRET_DIRECTORY)
}

fn path(setting: &GucSetting<Option<CString>>) -> Option<PathBuf> {
    let path = OsString::from_vec(setting.get()?.into_bytes());
    (!path.is_empty()).then(|| PathBuf::from(path))
}
