//! Enumerations whose variants have names: in the store, in the API, in metrics, in files.

/// What an enumeration of names has in common: all variants, the name of each, and the way back.
/// The names themselves come from strum's derives and are those of serde.
macro_rules! named {
    ($name:ident, $kind:literal) => {
        impl $name {
            /// All of them, in the order of their declaration, which is that in which they are shown.
            pub const ALL: [Self; <Self as strum::EnumCount>::COUNT] =
                match <Self as strum::VariantArray>::VARIANTS.first_chunk() {
                    Some(all) => *all,
                    None => unreachable!(),
                };

            /// The name in the store, in the API, in metrics and in messages.
            pub const fn as_str(&self) -> &'static str {
                self.into_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::IdError;

            fn from_str(text: &str) -> Result<Self, $crate::IdError> {
                Self::ALL.into_iter().find(|v| v.as_str() == text).ok_or(
                    $crate::IdError::NotOneOf {
                        kind: $kind,
                        names: <Self as strum::VariantNames>::VARIANTS,
                    },
                )
            }
        }
    };
}

pub(crate) use named;
