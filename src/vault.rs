//! Opening and closing the secrets that `hooks.secret` holds, and making new ones: the one place that
//! reads the key file and the files of secrets, and asks the system for randomness.

mod files;

use std::cell::OnceCell;
use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::domain::queue::QueueId;
use crate::domain::secret::{
    Form, InvalidSecret, Keyring, NONCE_BYTES, Purpose, Secret, check_file_name, make_private, make_symmetric,
};
use crate::{fault, guc};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 128 << 10;

/// A secret as stored.
pub struct Stored {
    pub queue_id: QueueId,
    pub purpose: Purpose,
    /// What it is encrypted with, if it is.
    pub key_id: Option<String>,
    /// Where it is; `None` for neither of the two.
    pub place: Option<Place>,
}

/// Where a secret is.
pub enum Place {
    Row(Vec<u8>),
    File(String),
}

/// What is stored of a secret.
pub struct Sealed {
    pub content: Vec<u8>,
    pub key_id: Option<String>,
}

/// Opens and closes secrets, with the settings of when it was made. The key file is read when it is first
/// needed, so one vault serves for one batch of work.
pub struct Vault {
    key_file: Option<PathBuf>,
    directory: Option<PathBuf>,
    keyring: OnceCell<Result<Keyring, String>>,
}

impl Vault {
    pub fn new() -> Vault {
        Vault {
            key_file: guc::secret_key_file(),
            directory: guc::secret_directory(),
            keyring: OnceCell::new(),
        }
    }

    /// # Errors
    /// Why the secret cannot be used; holds nothing of it.
    pub fn open(&self, stored: Stored) -> Result<Secret, String> {
        let secret = match (stored.place, stored.key_id) {
            (Some(Place::File(file)), _) => self.read_file(&file)?,
            (Some(Place::Row(content)), None) => Secret::new(content),
            (Some(Place::Row(content)), Some(key_id)) => {
                let keyring = self.keyring()?.ok_or_else(|| {
                    format!("it needs key \"{key_id}\", and hooks.secret_key_file is not set")
                })?;
                keyring.open(&key_id, stored.queue_id, stored.purpose, &content)?
            }
            (None, _) => return Err("its row holds none".to_owned()),
        };
        let form = Form::of(stored.purpose, secret.expose());
        form.map(|_| secret)
            .map_err(|InvalidSecret { problem, .. }| format!("it {problem}"))
    }

    /// # Errors
    /// There is a key file, and it cannot be used, or the system gives no randomness.
    pub fn seal(&self, queue_id: QueueId, purpose: Purpose, secret: &[u8]) -> Result<Sealed, Problem> {
        let Some(keyring) = self.keyring()? else {
            return Ok(Sealed {
                content: secret.to_vec(),
                key_id: None,
            });
        };
        let nonce: [u8; NONCE_BYTES] = *random()?;
        let content = keyring
            .seal(nonce, queue_id, purpose, secret)
            .ok_or_else(|| "it cannot be encrypted".to_owned())?;
        Ok(Sealed {
            content,
            key_id: Some(keyring.first().to_owned()),
        })
    }

    /// Name of the key that encrypts; `None` without a key file.
    ///
    /// # Errors
    /// There is a key file, and it cannot be used.
    pub fn first_key(&self) -> Result<Option<&str>, String> {
        Ok(self.keyring()?.map(Keyring::first))
    }

    /// Reads a secret from its file, without the line end that editors leave.
    ///
    /// # Errors
    /// Why there is none; holds nothing of it.
    pub fn read_file(&self, name: &str) -> Result<Secret, String> {
        let directory = self
            .directory
            .as_deref()
            .ok_or("hooks.secret_directory is not set")?;
        check_file_name(name)?;
        let bytes = files::read_below(directory, name, MAX_FILE_BYTES);
        let mut bytes = bytes.map_err(|problem| format!("file \"{name}\" {problem}"))?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Ok(Secret::new(std::mem::take(&mut *bytes)))
    }

    fn keyring(&self) -> Result<Option<&Keyring>, String> {
        let Some(file) = &self.key_file else {
            return Ok(None);
        };
        let keyring = self.keyring.get_or_init(|| {
            let read = files::read_private(file, MAX_FILE_BYTES).and_then(|bytes| {
                let text = std::str::from_utf8(&bytes).map_err(|_| "is not text".to_owned())?;
                Keyring::parse(text).map_err(|problem| format!("is not valid: {problem}"))
            });
            read.map_err(|problem| format!("hooks.secret_key_file {problem}"))
        });
        keyring.as_ref().map(Some).map_err(Clone::clone)
    }
}

/// Why a secret cannot be made or stored; holds nothing of it.
pub enum Problem {
    /// Of the secret as it is, or of the file of keys.
    Unusable(String),
    NoRandomness,
}

impl From<String> for Problem {
    fn from(problem: String) -> Problem {
        Problem::Unusable(problem)
    }
}

/// A new secret for this purpose, if one can be made up.
///
/// # Errors
/// The system gives no randomness.
pub fn generate(purpose: Purpose) -> Result<Option<Zeroizing<String>>, Problem> {
    Ok(match purpose {
        Purpose::Signing => Some(make_symmetric(&*random()?)),
        Purpose::SigningEd25519 => Some(make_private(&*random()?).map_err(|invalid| invalid.to_string())?),
        _ => None,
    })
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Problem> {
    let mut bytes = Zeroizing::new([0; N]);
    if fault::strikes("random: fill") || SystemRandom::new().fill(&mut *bytes).is_err() {
        return Err(Problem::NoRandomness);
    }
    Ok(bytes)
}
