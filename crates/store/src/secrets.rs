//! Encryption of stored secrets: XChaCha20-Poly1305 with a key from the secret file.
//!
//! A stored secret is a version byte, the id of its key (8 bytes), the nonce (24 bytes) and the ciphertext with its tag. Its
//! place (table, column, row) is authenticated with it, so a secret that is copied to another row is not decrypted.

use crate::connect::Store;
use crate::error::StoreError;
use crate::key_file::{self, EncryptionKey, KeyId};
use crate::settings;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use zeroize::Zeroizing;

/// The version of the format.
const FORMAT: u8 = 1;

const KEY_ID_BYTES: usize = size_of::<KeyId>();
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// A secret that cannot be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The key is not in the secret file: the file was lost or replaced.
    #[error(
        "{place} was encrypted with a key that is not in the secret file: enter it again, or restore the old file"
    )]
    UnknownKey {
        /// Table, column and row.
        place: String,
    },
    /// The stored bytes were changed, or moved from another row.
    #[error("{place} is damaged: enter it again")]
    Damaged {
        /// Table, column and row.
        place: String,
    },
    /// The secret file has another content.
    #[error("{} is not a secret file of mlxm: restore it from a copy, or move it away to begin with a new key", .path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
    },
    /// An operation on the secret file failed.
    #[error("cannot {action} {}: {error}", .path.display())]
    File {
        /// The operation, such as "read".
        action: &'static str,
        /// The file or its directory.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    NoRandomness(String),
    /// The text is longer than the cipher allows (256 GiB).
    #[error("the secret is too long")]
    TooLong,
}

impl SecretError {
    pub(crate) fn no_randomness(error: impl fmt::Display) -> Self {
        Self::NoRandomness(error.to_string())
    }
}

/// A decrypted secret. Its memory is zeroed when it is dropped, and it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes, for the moment of their use.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where a secret is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// The row's id or key.
    pub row: &'a str,
}

impl Place<'_> {
    /// Distinct for distinct places: names of tables and columns contain no NUL.
    fn associated_data(self) -> Vec<u8> {
        [self.table, self.column, self.row].join("\0").into_bytes()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{} of `{}`",
            self.table, self.column, self.row
        )
    }
}

/// The keys of the secret file.
pub(crate) struct Secrets {
    path: PathBuf,
    /// Newest first, never empty.
    keys: RwLock<Vec<EncryptionKey>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secrets({})", self.path.display())
    }
}

impl Secrets {
    /// Reads the secret file, or creates it with a new key.
    pub(crate) fn open(path: &Path) -> Result<Self, SecretError> {
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(key_file::open(path)?),
        })
    }

    /// Encrypts with the newest key.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Vec<u8>, SecretError> {
        let keys = self.keys();
        // Never empty.
        let Some(key) = keys.first() else {
            return Err(SecretError::InvalidFile {
                path: self.path.clone(),
            });
        };
        seal(key, place, secret)
    }

    /// Decrypts with the key that was used.
    pub(crate) fn unseal(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret, SecretError> {
        let damaged = || SecretError::Damaged {
            place: place.to_string(),
        };
        let (header, ciphertext) = sealed.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        let (format, header) = header.split_at(1);
        if format != [FORMAT] {
            return Err(damaged());
        }
        let (id, nonce) = header.split_at(KEY_ID_BYTES);
        let keys = self.keys();
        let Some(key) = keys.iter().find(|key| key.id == id) else {
            return Err(SecretError::UnknownKey {
                place: place.to_string(),
            });
        };
        let nonce = XNonce::try_from(nonce).map_err(|_| damaged())?;
        let payload = Payload {
            msg: ciphertext,
            aad: &place.associated_data(),
        };
        let bytes = cipher(key)
            .decrypt(&nonce, payload)
            .map_err(|_| damaged())?;
        Ok(Secret(Zeroizing::new(bytes)))
    }

    fn keys(&self) -> Vec<EncryptionKey> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes the keys to the file, and uses them from now on.
    fn replace(&self, keys: Vec<EncryptionKey>) -> Result<(), SecretError> {
        key_file::replace(&self.path, &keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

fn seal(key: &EncryptionKey, place: Place<'_>, secret: &Secret) -> Result<Vec<u8>, SecretError> {
    let nonce = XNonce::try_generate().map_err(SecretError::no_randomness)?;
    let payload = Payload {
        msg: secret.expose(),
        aad: &place.associated_data(),
    };
    let ciphertext = cipher(key)
        .encrypt(&nonce, payload)
        .map_err(|_| SecretError::TooLong)?;
    let mut sealed = Vec::with_capacity(HEADER_BYTES + ciphertext.len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&key.id);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

fn cipher(key: &EncryptionKey) -> XChaCha20Poly1305 {
    let bytes: &[u8; 32] = &key.bytes;
    let bytes: &Key = bytes.into();
    XChaCha20Poly1305::new(bytes)
}

/// The outcome of [`rotate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Secrets that are encrypted with the new key.
    pub encrypted: u64,
    /// Places of secrets that could not be decrypted. They are unchanged, and must be entered again.
    pub unreadable: Vec<String>,
}

/// Makes a new key, encrypts all secrets with it, and deletes the old keys from the secret file.
///
/// An interruption at any point leaves every secret readable: the file has both keys until all rows are committed. Other
/// gateways that share a Postgres database must be stopped, and need the new file before they are started again.
///
/// # Errors
/// Of the database and of the secret file.
pub async fn rotate(store: &Store) -> Result<Rotated, StoreError> {
    let secrets = store.secrets();
    let key = EncryptionKey::generate()?;
    let mut keys = vec![key.clone()];
    keys.extend(secrets.keys());
    secrets.replace(keys)?;
    let transaction = store.begin().await?;
    let rotated = settings::reseal(&transaction, secrets).await?;
    transaction.commit().await?;
    secrets.replace(vec![key])?;
    Ok(rotated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const PLACE: Place<'_> = Place {
        table: "settings",
        column: "sealed",
        row: "hub.token",
    };

    fn secrets(directory: &Path) -> Secrets {
        Secrets::open(&directory.join("secret.key")).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_decrypted_after_reopening_the_file() {
        let home = tempfile::tempdir().unwrap();
        let sealed = secrets(home.path())
            .seal(PLACE, &"hf_token".into())
            .unwrap();
        assert!(!sealed.windows(8).any(|part| part == b"hf_token"));
        let secret = secrets(home.path()).unseal(PLACE, &sealed).unwrap();
        assert_eq!(secret.expose(), b"hf_token");
        assert!(!format!("{secret:?}").contains("hf_token"));
        assert_eq!(mode(&home.path().join("secret.key")), 0o600);
    }

    #[test]
    fn the_same_secret_is_encrypted_differently_each_time() {
        let home = tempfile::tempdir().unwrap();
        let secrets = secrets(home.path());
        let first = secrets.seal(PLACE, &"same".into()).unwrap();
        assert_ne!(first, secrets.seal(PLACE, &"same".into()).unwrap());
    }

    #[test]
    fn a_secret_is_not_decrypted_at_another_place() {
        let home = tempfile::tempdir().unwrap();
        let secrets = secrets(home.path());
        let sealed = secrets.seal(PLACE, &"hf_token".into()).unwrap();
        for place in [
            Place {
                table: "providers",
                ..PLACE
            },
            Place {
                column: "value",
                ..PLACE
            },
            Place {
                row: "hub.token2",
                ..PLACE
            },
        ] {
            assert!(
                matches!(
                    secrets.unseal(place, &sealed),
                    Err(SecretError::Damaged { .. })
                ),
                "{place}"
            );
        }
    }

    #[test]
    fn every_changed_byte_is_detected() {
        let home = tempfile::tempdir().unwrap();
        let secrets = secrets(home.path());
        let sealed = secrets.seal(PLACE, &"hf_token".into()).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(secrets.unseal(PLACE, &changed).is_err(), "byte {index}");
            assert!(
                secrets.unseal(PLACE, &sealed[..index]).is_err(),
                "cut at {index}"
            );
        }
    }

    #[test]
    fn a_lost_file_is_replaced_and_its_secrets_are_reported() {
        let home = tempfile::tempdir().unwrap();
        let sealed = secrets(home.path())
            .seal(PLACE, &"hf_token".into())
            .unwrap();
        fs::remove_file(home.path().join("secret.key")).unwrap();
        let error = secrets(home.path()).unseal(PLACE, &sealed).unwrap_err();
        assert!(matches!(error, SecretError::UnknownKey { .. }), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_becomes_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secret.key");
        drop(secrets(home.path()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        drop(secrets(home.path()));
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn another_file_is_rejected_and_not_overwritten() {
        for content in ["", "nonsense\n", "00 11\n"] {
            let home = tempfile::tempdir().unwrap();
            let path = home.path().join("secret.key");
            fs::write(&path, content).unwrap();
            assert!(
                matches!(Secrets::open(&path), Err(SecretError::InvalidFile { .. })),
                "{content:?}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn secrets_of_an_interrupted_rotation_are_readable() {
        let home = tempfile::tempdir().unwrap();
        let secrets = secrets(home.path());
        let old = secrets.seal(PLACE, &"old".into()).unwrap();
        let mut keys = vec![EncryptionKey::generate().unwrap()];
        keys.extend(secrets.keys());
        secrets.replace(keys).unwrap();
        let new = secrets.seal(PLACE, &"new".into()).unwrap();
        drop(secrets);
        let reopened = Secrets::open(&home.path().join("secret.key")).unwrap();
        assert_eq!(reopened.unseal(PLACE, &old).unwrap().expose(), b"old");
        assert_eq!(reopened.unseal(PLACE, &new).unwrap().expose(), b"new");
    }
}
