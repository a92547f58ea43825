//! Why a record could not be stored (I1). One bad record never stops the rest.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The reason that stands beside a quarantined record.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum QuarantineReason {
    /// The id is missing, or is no decimal number.
    IdNotANumber,
    /// A property holds a NUL character, which Postgres cannot store.
    NulCharacter,
    /// The record is not of the shape that HubSpot documents (a timestamp that is none, a missing
    /// last-modified, properties that are no object).
    Malformed,
}

crate::named::named!(QuarantineReason, "quarantine reason");

/// Whether JSON text holds an escaped NUL in a string: `\u0000` behind an even number of
/// backslashes. Postgres refuses such a text as `jsonb`.
pub fn holds_nul(json: &str) -> bool {
    let bytes = json.as_bytes();
    if bytes.contains(&0) {
        return true;
    }
    let mut from = 0;
    while let Some(at) = json[from..].find("\\u0000").map(|i| from + i) {
        let backslashes_before = bytes[..at]
            .iter()
            .rev()
            .take_while(|b| **b == b'\\')
            .count();
        if backslashes_before.is_multiple_of(2) {
            return true;
        }
        from = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escaped_nul_is_seen_and_an_escaped_backslash_is_not_one() {
        assert!(holds_nul(r#"{"a":"x\u0000y"}"#));
        assert!(!holds_nul(r#"{"a":"x\\u0000y"}"#));
        assert!(holds_nul(r#"{"a":"x\\\u0000y"}"#));
        assert!(!holds_nul(r#"{"a":"u0000"}"#));
    }

    proptest! {
        #[test]
        fn agrees_with_a_json_parser(text in "[a\\\\\u{0}u0\"é]{0,24}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(holds_nul(&json), text.contains('\0'));
        }
    }
}
