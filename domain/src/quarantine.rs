//! Why a record could not be stored (I1). One bad record never stops the rest.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::IdError;

/// The reason that stands beside a quarantined record.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineReason {
    /// The id is missing, or is no decimal number.
    IdNotANumber,
    /// A property holds a NUL character, which Postgres cannot store.
    NulCharacter,
    /// The record is not of the shape that HubSpot documents (a timestamp that is none, a missing
    /// last-modified, properties that are no object).
    Malformed,
}

impl QuarantineReason {
    const ALL: [Self; 3] = [Self::IdNotANumber, Self::NulCharacter, Self::Malformed];

    /// The name in the store, in the API and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::IdNotANumber => "id_not_a_number",
            Self::NulCharacter => "nul_character",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for QuarantineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for QuarantineReason {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|r| r.as_str() == text)
            .ok_or(IdError::Malformed {
                kind: "quarantine reason",
                expected: "one of id_not_a_number, nul_character, malformed",
            })
    }
}

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
