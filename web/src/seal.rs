//! Signed texts: tickets (from the app to the consent page) and states (to HubSpot and back).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// Why a sealed text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealError {
    /// Not ours, or tampered with.
    Broken,
    /// Too old.
    Expired,
}

/// Signs and checks.
#[derive(Clone)]
pub(crate) struct Sealer([u8; 32]);

#[derive(Serialize, serde::Deserialize)]
struct Sealed<T> {
    /// What it is for: a ticket is no state.
    k: String,
    /// Seconds since 1970.
    e: i64,
    v: T,
}

impl Sealer {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn mac(&self, payload: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(payload.as_bytes());
        Some(mac)
    }

    /// A text that only this key makes of this one, and of another one for another use.
    pub(crate) fn tag(&self, kind: &str, text: &str) -> Option<String> {
        let mac = self.mac(&format!("{kind}\n{text}"))?;
        Some(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    /// `<payload>.<signature>`, fit for a URL.
    pub(crate) fn seal<T: Serialize>(
        &self,
        kind: &str,
        value: T,
        expires: DateTime<Utc>,
    ) -> Option<String> {
        let sealed = Sealed {
            k: kind.to_owned(),
            e: expires.timestamp(),
            v: value,
        };
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&sealed).ok()?);
        let signature = self.mac(&payload)?.finalize().into_bytes();
        Some(format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The reverse of [`Self::seal`].
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        kind: &str,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<T, SealError> {
        let (payload, signature) = text.split_once('.').ok_or(SealError::Broken)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| SealError::Broken)?;
        self.mac(payload)
            .ok_or(SealError::Broken)?
            .verify_slice(&signature)
            .map_err(|_| SealError::Broken)?;
        let sealed: Sealed<T> = URL_SAFE_NO_PAD
            .decode(payload)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or(SealError::Broken)?;
        if sealed.k != kind {
            return Err(SealError::Broken);
        }
        if sealed.e <= now.timestamp() {
            return Err(SealError::Expired);
        }
        Ok(sealed.v)
    }
}

/// What is stored of a secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn tampering_age_and_other_uses_are_refused() {
        let sealer = Sealer::new([7; 32]);
        let now = Utc::now();
        let text = sealer
            .seal("state", 42u32, now + TimeDelta::minutes(10))
            .unwrap();
        assert_eq!(sealer.open::<u32>("state", &text, now), Ok(42));
        assert_eq!(
            sealer.open::<u32>("ticket", &text, now),
            Err(SealError::Broken)
        );
        assert_eq!(
            sealer.open::<u32>("state", &text, now + TimeDelta::minutes(11)),
            Err(SealError::Expired)
        );
        assert_eq!(
            Sealer::new([8; 32]).open::<u32>("state", &text, now),
            Err(SealError::Broken)
        );
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            // The last character of base64 holds bits that decode to nothing.
            if place < text.len() - 1 {
                assert!(
                    sealer.open::<u32>("state", &tampered, now).is_err(),
                    "{place}"
                );
            }
        }
    }
}
