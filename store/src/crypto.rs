//! Encryption of tokens at rest: XChaCha20-Poly1305 under a rotatable key ring (C3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use domain::WorkspaceId;
use secrecy::{ExposeSecret as _, SecretString};

use crate::StoreError;

const NONCE: usize = 24;

/// Why `TOKEN_ENCRYPTION_KEYS` or `ERASURE_KEY` cannot be used. The keys themselves are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Not of the form `<key id>:<base64>`.
    #[error(
        "TOKEN_ENCRYPTION_KEYS: entry {0} is not <key id>:<base64 of 32 bytes>, with a key id of 1 to 32 letters, digits, - or _"
    )]
    Form(usize),
    /// `ERASURE_KEY` is not of its form.
    #[error("ERASURE_KEY is not base64 of 32 bytes")]
    Erasure,
    /// Two keys have one id.
    #[error("TOKEN_ENCRYPTION_KEYS: entry {0} repeats a key id")]
    Repeated(usize),
}

/// The keys; the first one encrypts, all decrypt.
#[derive(Clone)]
pub struct KeyRing(Vec<(String, XChaCha20Poly1305)>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.0.len())
    }
}

impl KeyRing {
    /// Reads `<key id>:<base64 of 32 bytes>[,older…]`.
    ///
    /// # Errors
    /// Names the entry that is wrong, counted from 1.
    pub fn parse(text: &SecretString) -> Result<Self, KeyRingError> {
        let mut keys: Vec<(String, XChaCha20Poly1305)> = Vec::new();
        for (index, entry) in text.expose_secret().split(',').enumerate() {
            let wrong = KeyRingError::Form(index + 1);
            let (id, key) = entry.trim().split_once(':').ok_or(wrong.clone())?;
            let bytes: [u8; 32] = STANDARD
                .decode(key)
                .ok()
                .and_then(|k| k.try_into().ok())
                .ok_or(wrong.clone())?;
            if !is_key_id(id) {
                return Err(wrong);
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(KeyRingError::Repeated(index + 1));
            }
            keys.push((id.to_owned(), XChaCha20Poly1305::new(&Key::from(bytes))));
        }
        Ok(Self(keys))
    }

    /// `<length of id><id><nonce><ciphertext>`, bound to workspace and field.
    pub(crate) fn encrypt(
        &self,
        workspace: WorkspaceId,
        field: &'static str,
        secret: &SecretString,
    ) -> Result<Vec<u8>, StoreError> {
        let (id, cipher) = self.0.first().ok_or(StoreError::Corrupt("token"))?;
        let nonce: [u8; NONCE] = rand::random();
        let sealed = cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: secret.expose_secret().as_bytes(),
                    aad: &aad(workspace, field),
                },
            )
            .map_err(|_| StoreError::Corrupt("token"))?;
        let mut out = Vec::with_capacity(1 + id.len() + NONCE + sealed.len());
        // Checked to be at most 32 when parsed.
        out.push(id.len() as u8);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Whether the first key sealed it.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        let first = self.0.first().map(|(id, _)| id.as_str());
        first.is_some() && first == sealed_by(sealed)
    }

    /// The reverse of [`Self::encrypt`], by whichever key it names.
    pub(crate) fn decrypt(
        &self,
        workspace: WorkspaceId,
        field: &'static str,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        let opened = || {
            let (&len, rest) = sealed.split_first()?;
            let (id, rest) = rest.split_at_checked(usize::from(len))?;
            let (nonce, text) = rest.split_at_checked(NONCE)?;
            let nonce: [u8; NONCE] = nonce.try_into().ok()?;
            let (_, cipher) = self.0.iter().find(|(known, _)| known.as_bytes() == id)?;
            let plain = cipher
                .decrypt(
                    &XNonce::from(nonce),
                    Payload {
                        msg: text,
                        aad: &aad(workspace, field),
                    },
                )
                .ok()?;
            String::from_utf8(plain).ok()
        };
        if let Some(id) = sealed_by(sealed).filter(|id| !self.0.iter().any(|(k, _)| k == id)) {
            return Err(StoreError::KeyMissing(id.to_owned()));
        }
        opened()
            .map(SecretString::from)
            .ok_or(StoreError::Corrupt("token"))
    }
}

/// The id of the key that sealed something; none where that is not of its form.
fn sealed_by(sealed: &[u8]) -> Option<&str> {
    let (&len, rest) = sealed.split_first()?;
    let id = std::str::from_utf8(rest.get(..usize::from(len))?).ok()?;
    is_key_id(id).then_some(id)
}

fn is_key_id(id: &str) -> bool {
    (1..=32).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn aad(workspace: WorkspaceId, field: &'static str) -> Vec<u8> {
    let mut aad = workspace.as_uuid().as_bytes().to_vec();
    aad.extend_from_slice(field.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const B: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(&text.to_owned().into()).unwrap()
    }

    fn workspace(n: u128) -> WorkspaceId {
        WorkspaceId::new(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn older_keys_still_open_what_they_sealed() {
        let old = ring(&format!("a:{A}"));
        let sealed = old.encrypt(workspace(1), "x", &"token".into()).unwrap();
        let rotated = ring(&format!("b:{B},a:{A}"));
        let opened = rotated.decrypt(workspace(1), "x", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "token");
        let without = ring(&format!("b:{B}")).decrypt(workspace(1), "x", &sealed);
        assert!(matches!(without, Err(StoreError::KeyMissing(id)) if id == "a"));
        let another = ring(&format!("a:{B}")).decrypt(workspace(1), "x", &sealed);
        assert!(matches!(another, Err(StoreError::Corrupt("token"))));
        assert!(old.is_current(&sealed) && !rotated.is_current(&sealed));
    }

    #[test]
    fn what_was_sealed_for_one_place_does_not_open_in_another() {
        let ring = ring(&format!("a:{A}"));
        let sealed = ring
            .encrypt(workspace(1), "access", &"token".into())
            .unwrap();
        assert!(ring.decrypt(workspace(2), "access", &sealed).is_err());
        assert!(ring.decrypt(workspace(1), "refresh", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(
                ring.decrypt(workspace(1), "access", &sealed[..cut])
                    .is_err()
            );
        }
    }

    #[test]
    fn unusable_keys_are_named_by_their_place() {
        let table = [
            ("", KeyRingError::Form(1)),
            ("k1", KeyRingError::Form(1)),
            ("k1:AAAA", KeyRingError::Form(1)),
            (&format!("a:{A},b b:{B}"), KeyRingError::Form(2)),
            (&format!("a:{A},a:{B}"), KeyRingError::Repeated(2)),
        ];
        for (text, error) in table {
            assert_eq!(KeyRing::parse(&text.to_owned().into()).unwrap_err(), error);
        }
    }
}
