//! Paging by cursor, and keys that make a repeated call harmless.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{app::ItemCode, ids::IdError};

/// Where a listing goes on: opaque, good for the listing that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 512, pattern = "^[A-Za-z0-9._:=-]+$")]
pub struct PageCursor(String);

impl PageCursor {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PageCursor {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let well_formed = (1..=512).contains(&text.len())
            && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'=' | b'-')
            });
        if well_formed {
            Ok(Self(text))
        } else {
            Err(IdError::Malformed {
                kind: "cursor",
                expected: "the `next` of the page before",
            })
        }
    }
}

impl From<PageCursor> for String {
    fn from(cursor: PageCursor) -> Self {
        cursor.0
    }
}

/// How many items a page has at most: 1 to 1,000, 100 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schema(value_type = i32, minimum = 1, maximum = 1000, default = 100)]
pub struct PageLimit(u32);

impl PageLimit {
    /// The most.
    pub const MAX: u32 = 1_000;
    /// As many as a page can have.
    pub const LARGEST: Self = Self(Self::MAX);

    pub const fn get(&self) -> u32 {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for PageLimit {
    type Error = IdError;

    fn try_from(limit: u32) -> Result<Self, IdError> {
        if (1..=Self::MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(IdError::Malformed {
                kind: "limit",
                expected: "a whole number from 1 to 1000",
            })
        }
    }
}

impl From<PageLimit> for u32 {
    fn from(limit: PageLimit) -> Self {
        limit.0
    }
}

/// An item that is stored and cannot be read. It harms only itself: the others are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadableItem {
    /// Its id.
    pub id: String,
    /// `HS-2217`.
    pub code: ItemCode,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// The items, in an order that stays.
    pub items: Vec<T>,
    /// Items of this page that are stored and cannot be read (HS-2217); usually none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableItem>,
    /// Where to go on; null on the last page.
    pub next: Option<PageCursor>,
}

/// The header `Idempotency-Key`: the same key with the same body gives the same answer for a day,
/// and does nothing twice. 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(IdError::Malformed {
                kind: "idempotency key",
                expected: "1 to 255 visible ASCII characters, such as a UUID",
            })
        }
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_cursors_and_keys_are_bounded() {
        for (limit, good) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
            assert_eq!(PageLimit::try_from(limit).is_ok(), good);
        }
        for (text, good) in [
            ("", false),
            ("p-1_a.b:c=", true),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(
                PageCursor::try_from(text.to_owned()).is_ok(),
                good,
                "{text:?}"
            );
        }
        for (text, good) in [("", false), ("k/1!", true), ("a b", false), ("é", false)] {
            assert_eq!(
                IdempotencyKey::try_from(text.to_owned()).is_ok(),
                good,
                "{text:?}"
            );
        }
    }
}
