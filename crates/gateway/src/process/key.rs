//! Keys of workers: derived, never stored.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// Derives the API key of each worker from the gateway's secret, so that a gateway that is started again knows the keys of the
/// workers it adopts.
#[derive(Clone)]
pub struct WorkerKeys(Hmac<Sha256>);

impl std::fmt::Debug for WorkerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkerKeys(…)")
    }
}

/// Separates these keys from others that are derived from the same secret.
const PURPOSE: &[u8] = b"mlxm worker key\0";

impl WorkerKeys {
    /// Keys derived from the content of the secret file. `None` if it is shorter than 16 bytes, which can be guessed.
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < 16 {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    /// The key of a worker: 43 characters that are valid in a header.
    pub fn derive(&self, server: Uuid) -> String {
        let mut code = self.0.clone();
        code.update(PURPOSE);
        code.update(server.as_bytes());
        BASE64URL_NOPAD.encode(&code.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_depend_on_secret_and_server_only() {
        let keys = |secret: &[u8]| WorkerKeys::new(secret).unwrap();
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = keys(&[7; 32]).derive(first);
        assert_eq!(key.len(), 43);
        assert_eq!(key, keys(&[7; 32]).derive(first));
        assert_ne!(key, keys(&[7; 32]).derive(second));
        assert_ne!(key, keys(&[8; 32]).derive(first));
        assert!(WorkerKeys::new(&[7; 15]).is_none());
    }

    #[test]
    fn debug_output_does_not_contain_the_secret() {
        assert_eq!(
            format!("{:?}", WorkerKeys::new(&[7; 32])),
            "Some(WorkerKeys(…))"
        );
    }
}
