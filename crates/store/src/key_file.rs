//! The file of encryption keys: a line `<id> <key>` in hexadecimal per key, newest first. Only a rotation that did not
//! finish leaves more than one line.

use crate::files;
use crate::secrets::SecretError;
use chacha20poly1305::aead::Generate;
use data_encoding::HEXLOWER;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Identifies the key of a stored secret.
pub(crate) type KeyId = [u8; 8];

/// A key with its id. The bytes are zeroed when it is dropped.
#[derive(Clone)]
pub(crate) struct EncryptionKey {
    pub id: KeyId,
    pub bytes: Zeroizing<[u8; 32]>,
}

impl EncryptionKey {
    /// A new random key.
    pub(crate) fn generate() -> Result<Self, SecretError> {
        Ok(Self {
            id: KeyId::try_generate().map_err(SecretError::no_randomness)?,
            bytes: Zeroizing::new(<[u8; 32]>::try_generate().map_err(SecretError::no_randomness)?),
        })
    }

    fn line(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(HEXLOWER.encode(self.bytes.as_slice()));
        Zeroizing::new(format!("{} {}\n", HEXLOWER.encode(&self.id), key.as_str()))
    }

    fn parse(line: &str) -> Option<Self> {
        let (id, key) = line.split_once(' ')?;
        let id = HEXLOWER.decode(id.as_bytes()).ok()?;
        let key = Zeroizing::new(HEXLOWER.decode(key.as_bytes()).ok()?);
        Some(Self {
            id: id.try_into().ok()?,
            bytes: Zeroizing::new(key.as_slice().try_into().ok()?),
        })
    }
}

/// The keys of the file, newest first; a new key in a new file if there is none.
pub(crate) fn open(path: &Path) -> Result<Vec<EncryptionKey>, SecretError> {
    if let Some(keys) = read(path)? {
        return Ok(keys);
    }
    let key = EncryptionKey::generate()?;
    let draft = write_draft(path, std::slice::from_ref(&key))?;
    // Unlike a rename, a link does not replace the file of another process that started at the same time.
    let linked = fs::hard_link(&draft, path);
    files::remove_if_exists(&draft).map_err(failed("delete", &draft))?;
    match linked {
        Ok(()) => {
            files::sync_directory_of(path).map_err(failed("sync", path))?;
            Ok(vec![key])
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| failed("read", path)(error))
        }
        Err(error) => Err(failed("create", path)(error)),
    }
}

/// Replaces the keys of the file; it has either the old or the new ones at any time.
pub(crate) fn replace(path: &Path, keys: &[EncryptionKey]) -> Result<(), SecretError> {
    let draft = write_draft(path, keys)?;
    fs::rename(&draft, path).map_err(failed("replace", path))?;
    files::sync_directory_of(path).map_err(failed("sync", path))
}

/// `None` if there is no file.
fn read(path: &Path) -> Result<Option<Vec<EncryptionKey>>, SecretError> {
    let content = match fs::read_to_string(path) {
        Ok(content) => Zeroizing::new(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    make_private(path)?;
    let keys: Option<Vec<_>> = content.lines().map(EncryptionKey::parse).collect();
    match keys {
        Some(keys) if !keys.is_empty() => Ok(Some(keys)),
        _ => Err(SecretError::InvalidFile {
            path: path.to_owned(),
        }),
    }
}

/// Takes the file away from other users of the machine.
fn make_private(path: &Path) -> Result<(), SecretError> {
    let mode = fs::metadata(path).map_err(failed("read", path))?.mode();
    let for_others = mode & 0o077;
    if for_others == 0 {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        "the secret file was accessible to other users; its mode is 0600 now. `mlxm secrets rotate` makes a new key"
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed("protect", path))
}

/// Writes and syncs the keys to a new file next to the final one.
fn write_draft(path: &Path, keys: &[EncryptionKey]) -> Result<PathBuf, SecretError> {
    let draft = files::with_suffix(path, &format!(".{}.draft", Uuid::now_v7()));
    let write = || -> io::Result<()> {
        let mut file = files::create_private(&draft)?;
        for key in keys {
            file.write_all(key.line().as_bytes())?;
        }
        file.sync_all()
    };
    write().map_err(failed("write", &draft))?;
    Ok(draft)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretError {
    let path = path.to_owned();
    move |error| SecretError::File {
        action,
        path,
        error,
    }
}
