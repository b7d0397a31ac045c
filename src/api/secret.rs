//! Secrets of queues: checking and sealing them, making new ones, and files that hold them.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::{AnyElement, PgSqlErrorCode, Spi};

use super::owner::{self, Called};
use super::row::handed_on;
use crate::domain::auth::{Auth, AuthRow};
use crate::domain::secret::{Form, InvalidSecret, Purpose};
use crate::domain::signature::Scheme;
use crate::error::{Error, OrRaise};
use crate::session;
use crate::vault::{self, Place, Problem, Sealed, Stored, Vault};

/// What is to be stored of a secret, as one row.
#[pg_extern(sql = false)]
#[expect(clippy::type_complexity, reason = "pgrx reads the columns off the signature")]
fn seal_secret(
    queue_id: i64,
    purpose: &[u8],
    secret: &[u8],
) -> TableIterator<
    'static,
    (
        name!(content, Vec<u8>),
        name!(key_id, Option<String>),
        name!(form, String),
        name!(public_key, Option<String>),
    ),
> {
    let purpose = known_purpose(purpose).or_raise();
    let (form, public_key) = parts(check(purpose, secret).or_raise());
    let sealed = Vault::new().seal(queue_id, purpose, secret);
    let Sealed { content, key_id } = sealed.map_err(of_vault).or_raise();
    TableIterator::once((content, key_id, form, public_key))
}

/// What is to be stored of a secret in a file, as one row. Reads the file, so that what is wrong with it
/// is known at once.
#[pg_extern(sql = false)]
fn check_secret_file(
    purpose: &[u8],
    file: &[u8],
) -> TableIterator<'static, (name!(form, String), name!(public_key, Option<String>))> {
    let purpose = known_purpose(purpose).or_raise();
    let secret = Vault::new().read_file(&String::from_utf8_lossy(file));
    let secret = secret
        .map_err(|problem| Error::invalid(problem, "Give the name of a file below hooks.secret_directory."))
        .or_raise();
    TableIterator::once(parts(check(purpose, secret.expose()).or_raise()))
}

/// What is stored of the same secret under the first key.
#[pg_extern(sql = false)]
fn reseal_secret(
    queue_id: i64,
    purpose: &[u8],
    content: Vec<u8>,
    key_id: Option<&[u8]>,
) -> TableIterator<'static, (name!(content, Vec<u8>), name!(key_id, Option<String>))> {
    let purpose = known_purpose(purpose).or_raise();
    let vault = Vault::new();
    let opened = vault.open(Stored {
        queue_id,
        purpose,
        key_id: key_id.map(|id| String::from_utf8_lossy(id).into_owned()),
        place: Some(Place::Row(content)),
    });
    let opened = opened.map_err(Problem::from);
    let sealed = opened.and_then(|secret| vault.seal(queue_id, purpose, secret.expose()));
    let Sealed { content, key_id } = sealed.map_err(of_vault).or_raise();
    TableIterator::once((content, key_id))
}

#[pg_extern(sql = false)]
fn secret_key() -> Option<String> {
    let vault = Vault::new();
    vault
        .first_key()
        .map_err(Error::Vault)
        .or_raise()
        .map(str::to_owned)
}

#[pg_extern(sql = false)]
fn make_secret(signature: &[u8]) -> String {
    let scheme = std::str::from_utf8(signature).ok().and_then(Scheme::parse);
    let scheme = scheme.ok_or_else(|| {
        Error::invalid(
            "signature is not known",
            format!("Use one of {}.", Scheme::ALL.map(|(name, _)| name).join(", ")),
        )
    });
    generate(scheme.or_raise().purpose())
}

#[pg_extern(sql = false)]
fn make_secret_for(purpose: &[u8]) -> String {
    generate(known_purpose(purpose).or_raise())
}

fn of_vault(problem: Problem) -> Error {
    match problem {
        Problem::NoRandomness => Error::not_ready("the system gives no randomness", "Try again."),
        Problem::Unusable(problem) => Error::Vault(problem),
    }
}

fn generate(purpose: Purpose) -> String {
    let made = vault::generate(purpose).map_err(of_vault).or_raise();
    let made = made.ok_or_else(|| {
        Error::invalid(
            format!("a secret for {} cannot be made up", purpose.as_str()),
            "Ask the owner of the receiver for it, and set it with hooks.set_secret().",
        )
    });
    made.or_raise().to_string()
}

/// Stores as the owner what only those may ask for who may read any file of the server.
#[pg_extern(sql = false)]
fn set_secret_file(
    queue: Option<AnyElement>,
    file: Option<AnyElement>,
    purpose: Option<AnyElement>,
    grace: Option<AnyElement>,
    call: pg_sys::FunctionCallInfo,
) {
    if !reads_server_files() {
        Error::Denied {
            message: "permission denied to have the server read a file".to_owned(),
            hint: "Only roles with the privileges of pg_read_server_files may.".to_owned(),
        }
        .raise();
    }
    let arguments = [
        handed_on(queue, pg_sys::TEXTOID),
        handed_on(file, pg_sys::TEXTOID),
        handed_on(purpose, pg_sys::TEXTOID),
        handed_on(grace, pg_sys::INTERVALOID),
    ]
    .map(OrRaise::or_raise);
    let store = "select hooks.store_secret_file($1, $2, $3, $4)";
    Called::by(call).as_owner(|| run(store, &arguments));
}

fn run(statement: &str, arguments: &[DatumWithOid<'_>]) {
    session::fail_if_struck(|| "session: statement".to_owned());
    let result = Spi::connect_mut(|client| client.update(statement, None, arguments).map(|_| ()));
    if let Err(error) = result {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not store the name of a file: {error}")
        );
    }
}

/// Whether the caller could read the file with `COPY` as well.
fn reads_server_files() -> bool {
    owner::caller_has_privileges_of(pg_sys::Oid::from(pg_sys::ROLE_PG_READ_SERVER_FILES))
}

fn check(purpose: Purpose, secret: &[u8]) -> Result<Form, Error> {
    Form::of(purpose, secret)
        .map_err(|invalid: InvalidSecret| Error::invalid(invalid.to_string(), invalid.hint))
}

fn parts(form: Form) -> (String, Option<String>) {
    let name = form.as_str().to_owned();
    match form {
        Form::Private { public_key } => (name, Some(public_key)),
        Form::Symmetric | Form::Plain => (name, None),
    }
}

/// Whether a request can carry what a row of `hooks.auth` and its secret say.
#[pg_extern(sql = false)]
fn check_auth(settings: &[u8], secret: &[u8]) {
    let secret = String::from_utf8_lossy(secret);
    AuthRow::from_json(settings)
        .and_then(|row| row.add_to(&mut Auth::default(), &secret))
        .map_err(|invalid| Error::invalid(invalid.message, invalid.hint))
        .or_raise();
}

fn known_purpose(name: &[u8]) -> Result<Purpose, Error> {
    let purpose = std::str::from_utf8(name).ok().and_then(Purpose::parse);
    purpose.ok_or_else(|| {
        Error::invalid(
            "purpose of a secret is not known",
            format!("Use one of {}.", Purpose::names()),
        )
    })
}
