//! Reading documents by their schema. A schema that a release stored stays readable for ever: what is
//! added as the next one brings a pure function from the one before, called here.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{SCHEMA_VERSION, Settings, SettingsPath};

/// Why a document cannot be read (HS-2192).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A field is unknown, missing, or of another type than expected.
    #[error("settings of schema {schema} at \"{path}\": {message}")]
    Field {
        /// The schema that the document says it has.
        schema: u32,
        /// Where.
        path: SettingsPath,
        /// What is wrong.
        message: String,
    },
    /// The document was written by a newer program.
    #[error(
        "settings of schema {schema} are newer than this program, which knows schemas up to {SCHEMA_VERSION}; upgrade it"
    )]
    Newer {
        /// The schema that the document says it has.
        schema: u64,
    },
    /// No release has stored documents of this schema.
    #[error("there is no schema {schema}; write settings of schema_version {SCHEMA_VERSION}")]
    NeverReleased {
        /// The schema that the document says it has.
        schema: u64,
    },
    /// `schema_version` is missing, or no whole number.
    #[error(
        "`schema_version` is a whole number and has to be there; the newest is {SCHEMA_VERSION}"
    )]
    SchemaVersion,
    /// Not an object at all.
    #[error("settings are a JSON object")]
    NoObject,
}

/// Reads a document of any schema that a release stored.
///
/// # Errors
/// [`ReadError`] names the place.
pub fn read(document: Value) -> Result<Settings, ReadError> {
    let Value::Object(fields) = &document else {
        return Err(ReadError::NoObject);
    };
    let schema = fields
        .get("schema_version")
        .and_then(Value::as_u64)
        .ok_or(ReadError::SchemaVersion)?;
    match schema {
        0 | 1 => Err(ReadError::NeverReleased { schema }),
        2 => typed(2, document),
        _ => Err(ReadError::Newer { schema }),
    }
}

fn typed<T: DeserializeOwned>(schema: u32, document: Value) -> Result<T, ReadError> {
    serde_path_to_error::deserialize(document).map_err(|e| {
        use serde_path_to_error::Segment;
        let path = e
            .path()
            .iter()
            .fold(SettingsPath::new(""), |path, segment| match segment {
                Segment::Seq { index } => path.at(index),
                Segment::Map { key } => path.at(key),
                Segment::Enum { variant } => path.at(variant),
                Segment::Unknown => path,
            });
        ReadError::Field {
            schema,
            path,
            message: e.into_inner().to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    const V2_JSON: &str = include_str!("../../samples/settings/v2.json");

    #[test]
    fn the_current_sample_names_every_field_and_reads_back_the_same() {
        let settings = read(sample(V2_JSON)).unwrap();
        assert_eq!(serde_json::to_value(&settings).unwrap(), sample(V2_JSON));
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let empty = serde_json::to_value(Settings::empty()).unwrap();
        assert_eq!(keys(&sample(V2_JSON)), keys(&empty));
    }

    #[test]
    fn the_smallest_document_has_the_defaults() {
        assert_eq!(
            read(sample(r#"{"schema_version":2}"#)).unwrap(),
            Settings::empty()
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (document, place, text) in [
            (
                r#"{"schema_version":2,"typo":1}"#,
                "/typo",
                "unknown field `typo`",
            ),
            (
                r#"{"schema_version":2,"contacts":[{"app_field":"city","property":"city"},{"app_field":"City","property":"city"}]}"#,
                "/contacts/1/app_field",
                "field key",
            ),
            (
                r#"{"schema_version":2,"import":{"interval_minutes":-1}}"#,
                "/import/interval_minutes",
                "u32",
            ),
            (
                r#"{"schema_version":2,"status":{"property":"x","rows":[{"status":"nope","value":"y"}]}}"#,
                "/status/rows/0/status",
                "unknown variant",
            ),
            (
                r#"{"schema_version":2,"owners":{"unmapped":{"to":"member","member":"a@b"}}}"#,
                "/owners/unmapped",
                "member id",
            ),
            (r#"{"contacts":[]}"#, "", "has to be there"),
            (r#"{"schema_version":0}"#, "", "no schema 0"),
            (r#"{"schema_version":1}"#, "", "schema_version 2"),
            (r#"{"schema_version":3}"#, "", "newer than this program"),
            (r#"{"schema_version":"2"}"#, "", "whole number"),
            (r#"{"schema_version":-1}"#, "", "whole number"),
            ("[]", "", "JSON object"),
            ("null", "", "JSON object"),
        ] {
            let error = read(sample(document)).unwrap_err().to_string();
            assert!(
                error.contains(place) && error.contains(text),
                "{document}: {error}"
            );
        }
    }
}
