//! Secrets of queues: checking them, and making new ones.

use pgrx::prelude::*;

use crate::domain::secret::{Form, Purpose};
use crate::error::{Error, OrRaise};

/// What is to be stored of a secret, as one row.
#[pg_extern(sql = false)]
fn seal_secret(
    _queue_id: i64,
    purpose: &[u8],
    secret: &[u8],
) -> TableIterator<
    'static,
    (
        name!(content, Vec<u8>),
        name!(form, String),
        name!(public_key, Option<String>),
    ),
> {
    let purpose = known_purpose(purpose).or_raise();
    let form = Form::of(purpose, secret)
        .map_err(|invalid| Error::invalid(invalid.to_string(), invalid.hint))
        .or_raise();
    let name = form.as_str().to_owned();
    let public_key = match form {
        Form::Private { public_key } => Some(public_key),
        Form::Symmetric | Form::Plain => None,
    };
    TableIterator::once((secret.to_vec(), name, public_key))
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
