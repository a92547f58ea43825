//! A field of a partial update: missing, null, or a value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a partial update says of one field. In JSON a missing field is [`Patch::Keep`], `null` is
/// [`Patch::Clear`]; the field needs `#[serde(default, skip_serializing_if = "Patch::is_keep")]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Patch<T> {
    /// Not mentioned: what is stored stays.
    #[default]
    Keep,
    /// Emptied on purpose.
    Clear,
    /// Set to this.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field was not mentioned.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value, if one is set.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// The same, looking at the value.
    pub const fn as_ref(&self) -> Patch<&T> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(value),
        }
    }

    /// Sets or clears.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// Turns the value into another, or fails.
    ///
    /// # Errors
    /// What `f` gives.
    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(f(value)?),
        })
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from_option)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Probe {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        field: Patch<u8>,
    }

    #[test]
    fn missing_null_and_a_value_are_three_things() {
        for (json, field) in [
            ("{}", Patch::Keep),
            (r#"{"field":null}"#, Patch::Clear),
            (r#"{"field":7}"#, Patch::Set(7)),
        ] {
            assert_eq!(
                serde_json::from_str::<Probe>(json).unwrap(),
                Probe { field }
            );
            assert_eq!(serde_json::to_string(&Probe { field }).unwrap(), json);
        }
    }
}
