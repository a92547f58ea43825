//! Webhooks: whether a delivery is HubSpot's, and what it says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{
    ids::{PortalId, RecordId},
    page::{BadRecord, read_record},
};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "X-HubSpot-Signature-v3";
/// The header with the time at which it was signed.
pub const TIMESTAMP_HEADER: &str = "X-HubSpot-Request-Timestamp";
/// How old a delivery may be, and how far ahead of our clock.
pub const MAX_AGE: TimeDelta = TimeDelta::milliseconds(300_000);
/// HubSpot sends fewer than a hundred events at once.
pub const MAX_EVENTS: usize = 100;

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// One of the two headers is missing.
    #[error("{SIGNATURE_HEADER} or {TIMESTAMP_HEADER} is missing")]
    Missing,
    /// The timestamp is no number of milliseconds.
    #[error("{TIMESTAMP_HEADER} is not a time in milliseconds")]
    Timestamp,
    /// It was signed more than five minutes ago, or in the future.
    #[error("signed more than five minutes from now")]
    Age,
    /// It was signed with another secret, or for another address, or was changed.
    #[error("the signature does not fit")]
    Signature,
}

/// A delivery as it came in.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// `POST`
    pub method: &'a str,
    /// The address that HubSpot was given, as it is known outside: scheme, host, path and query.
    /// Behind a proxy it is not the one that arrives.
    pub public_url: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// [`SIGNATURE_HEADER`]
    pub signature: Option<&'a str>,
    /// [`TIMESTAMP_HEADER`]
    pub timestamp: Option<&'a str>,
}

/// HubSpot signs the address with these decoded, and no others (`hubspot-api.md` §12). The `?` before
/// the query is none of them: it is not encoded.
const DECODED: [(&str, char); 12] = [
    ("%3A", ':'),
    ("%2F", '/'),
    ("%3F", '?'),
    ("%40", '@'),
    ("%21", '!'),
    ("%24", '$'),
    ("%27", '\''),
    ("%28", '('),
    ("%29", ')'),
    ("%2A", '*'),
    ("%2C", ','),
    ("%3B", ';'),
];

fn signed_url(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = DECODED.iter().find(|(code, _)| {
            rest.get(..3)
                .is_some_and(|text| text.eq_ignore_ascii_case(code))
        });
        match found {
            Some((_, plain)) => {
                out.push(*plain);
                rest = &rest[3..];
            }
            None => {
                out.push('%');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Says whether a delivery was signed by HubSpot for our app, not long ago (signature v3).
///
/// # Errors
/// Why not. Answer 401 then; HubSpot tries again for 24 hours.
pub fn verify(
    delivery: &Delivery<'_>,
    client_secret: &SecretString,
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let (Some(signature), Some(timestamp)) = (delivery.signature, delivery.timestamp) else {
        return Err(SignatureError::Missing);
    };
    let at = timestamp
        .parse::<i64>()
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .ok_or(SignatureError::Timestamp)?;
    if (now - at).abs() > MAX_AGE {
        return Err(SignatureError::Age);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(client_secret.expose_secret().as_bytes())
        .map_err(|_| SignatureError::Signature)?;
    mac.update(delivery.method.as_bytes());
    mac.update(signed_url(delivery.public_url).as_bytes());
    mac.update(delivery.body);
    mac.update(timestamp.as_bytes());
    let right = STANDARD.encode(mac.finalize().into_bytes());
    if bool::from(right.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(())
    } else {
        Err(SignatureError::Signature)
    }
}

/// What happened in a portal. Deliveries repeat and overtake each other: what an event says may be
/// old, so read the record.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Not unique, whatever its name says.
    #[serde(default)]
    pub event_id: Option<u64>,
    /// Where.
    pub portal_id: PortalId,
    /// The app that it was sent to.
    #[serde(default)]
    pub app_id: Option<u64>,
    /// When, in milliseconds.
    #[serde(deserialize_with = "crate::time::required")]
    pub occurred_at: DateTime<Utc>,
    /// Such as `contact.propertyChange`, `company.merge`, `object.creation`.
    pub subscription_type: String,
    /// `0-1` and so on, for `object.…`.
    #[serde(default)]
    pub object_type_id: Option<String>,
    /// The record; none for association changes.
    #[serde(default)]
    pub object_id: Option<RecordId>,
    /// The property that changed.
    #[serde(default)]
    pub property_name: Option<String>,
    /// Its value; `REDACTED` for sensitive ones. Personal data.
    #[serde(default)]
    pub property_value: Option<String>,
    /// What changed it, such as `CRM_UI` or `INTEGRATION`.
    #[serde(default)]
    pub change_source: Option<String>,
    /// Which of them: for an integration its app id.
    #[serde(default)]
    pub source_id: Option<String>,
    /// How often it was sent before.
    #[serde(default)]
    pub attempt_number: u32,
    /// For a merge: the record that the others went into.
    #[serde(default)]
    pub primary_object_id: Option<RecordId>,
    /// For a merge: those that are gone.
    #[serde(default)]
    pub merged_object_ids: Vec<RecordId>,
    /// For a merge: the new record.
    #[serde(default)]
    pub new_object_id: Option<RecordId>,
    /// For an association change: such as `CONTACT_TO_COMPANY`.
    #[serde(default)]
    pub association_type: Option<String>,
    /// For an association change: from this record.
    #[serde(default)]
    pub from_object_id: Option<RecordId>,
    /// For an association change: to this record.
    #[serde(default)]
    pub to_object_id: Option<RecordId>,
    /// For an association change: whether it is gone.
    #[serde(default)]
    pub association_removed: bool,
}

/// Values are personal data: they are not shown.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("portal_id", &self.portal_id)
            .field("subscription_type", &self.subscription_type)
            .field("object_id", &self.object_id)
            .field("occurred_at", &self.occurred_at)
            .finish_non_exhaustive()
    }
}

/// The events of a delivery, each readable or not; `None` when it is no JSON array.
pub fn events(body: &[u8]) -> Option<Vec<Result<Event, BadRecord>>> {
    let raw: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    Some(
        raw.iter()
            .enumerate()
            .map(|(place, raw)| read_record(raw, place))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Worked out with another program:
    // printf '%s' 'POSThttps://app.example.com/hooks?a=b:c[{"objectId":1}]1764000000000' \
    //   | openssl dgst -sha256 -hmac 'a-secret' -binary | base64
    const SIGNATURE: &str = "SJCP+ZZvXq0F3tC46+Lrb6IMc6tWDwsDENrhdun7vD4=";
    const URL: &str = "https://app.example.com/hooks?a=b%3Ac";
    const BODY: &[u8] = br#"[{"objectId":1}]"#;
    const AT: i64 = 1_764_000_000_000;

    fn check(
        change: impl FnOnce(&mut Delivery<'static>),
        later_ms: i64,
    ) -> Result<(), SignatureError> {
        let mut delivery = Delivery {
            method: "POST",
            public_url: URL,
            body: BODY,
            signature: Some(SIGNATURE),
            timestamp: Some("1764000000000"),
        };
        change(&mut delivery);
        let now = DateTime::from_timestamp_millis(AT + later_ms).unwrap();
        verify(&delivery, &SecretString::from("a-secret"), now)
    }

    #[test]
    fn only_what_hubspot_signed_not_long_ago_is_believed() {
        use SignatureError::{Age, Missing, Signature, Timestamp};
        assert_eq!(check(|_| {}, 0), Ok(()));
        assert_eq!(check(|_| {}, 300_000), Ok(()));
        assert_eq!(check(|_| {}, 300_001), Err(Age));
        assert_eq!(check(|_| {}, -300_001), Err(Age));
        assert_eq!(
            check(|d| d.body = br#"[{"objectId":2}]"#, 0),
            Err(Signature)
        );
        // Parsed and written again: not the bytes that were signed.
        assert_eq!(
            check(|d| d.body = br#"[{"objectId": 1}]"#, 0),
            Err(Signature)
        );
        assert_eq!(check(|d| d.method = "GET", 0), Err(Signature));
        assert_eq!(
            check(|d| d.public_url = "http://10.0.0.7:8080/hooks?a=b%3Ac", 0),
            Err(Signature)
        );
        assert_eq!(check(|d| d.signature = None, 0), Err(Missing));
        assert_eq!(check(|d| d.timestamp = None, 0), Err(Missing));
        assert_eq!(check(|d| d.timestamp = Some("now"), 0), Err(Timestamp));
        assert_eq!(
            check(|d| d.timestamp = Some("1764000000001"), 0),
            Err(Signature)
        );
        assert_eq!(check(|d| d.signature = Some(""), 0), Err(Signature));
    }

    #[test]
    fn the_address_is_signed_with_some_characters_decoded() {
        let table = [
            (
                "https://a/b?x=%3a%2F%3F%40%21%24%27%28%29%2A%2C%3B",
                "https://a/b?x=:/?@!$'()*,;",
            ),
            (
                "https://a/b?x=%20%26%25&y=%C3%A9",
                "https://a/b?x=%20%26%25&y=%C3%A9",
            ),
            ("https://a/%", "https://a/%"),
            ("https://a/%2", "https://a/%2"),
            ("https://a/%é3A", "https://a/%é3A"),
            // Once, not again over what was decoded.
            ("https://a/%253A", "https://a/%253A"),
        ];
        for (url, want) in table {
            assert_eq!(signed_url(url), want);
        }
    }

    #[test]
    fn one_bad_event_does_not_spoil_a_delivery() {
        let body = br#"[
            {"eventId":1,"subscriptionId":2,"portalId":3,"appId":4,"occurredAt":1764000000000,
             "subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":874716779721,
             "propertyName":"email","propertyValue":"a@example.com","changeSource":"CRM_UI"},
            {"portalId":"x"},
            {"portalId":3,"occurredAt":1764000000000,"subscriptionType":"contact.merge",
             "primaryObjectId":5,"mergedObjectIds":[6],"newObjectId":7,"numberOfPropertiesMoved":2}
        ]"#;
        let all = events(body).unwrap();
        let change = all[0].as_ref().unwrap();
        assert_eq!(change.object_id, Some(RecordId::new(874_716_779_721)));
        assert!(!format!("{change:?}").contains("a@example.com"));
        assert!(all[1].is_err());
        let merge = all[2].as_ref().unwrap();
        assert_eq!(merge.merged_object_ids, [RecordId::new(6)]);
        assert_eq!(merge.new_object_id, Some(RecordId::new(7)));
        assert!(events(b"{}").is_none() && events(b"<html>").is_none());
    }
}
