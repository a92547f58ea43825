//! The lines of JSONL files: objects as in the bulk calls, where `version` may be missing.

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{COLUMNS, MAX_ROW_BYTES, bounded, too_long, without_mark};
use crate::{
    activities::ActivityInput,
    app::{Fields, ItemCode, ItemProblem, MemberInput, PersonInput, Slot},
};

/// The keys of a member's object.
const MEMBER_KEYS: [&str; 5] = ["id", "version", "email", "name", "active"];

/// The keys of an activity's object.
const ACTIVITY_KEYS: [&str; 8] = [
    "id", "version", "person", "deleted", "at", "member", "campaign", "content",
];

/// Reads a line of a JSONL file of people: an object as in the bulk call, where `version` may be
/// missing.
///
/// # Errors
/// What is wrong with this line.
pub fn json_row(line: &[u8], version: u64, fields: &Fields) -> Result<PersonInput, ItemProblem> {
    let columns = COLUMNS.map(|(name, _)| name);
    let known = |key: &str| key == "fields" || columns.contains(&key);
    let keys = format!("{}, and fields", columns.join(", "));
    let input: PersonInput = typed(object(line, known, &keys)?, version)?;
    input.clone().check(fields)?;
    Ok(input)
}

/// Reads a line of a JSONL file of team members: an object as in the bulk call, where `version` may
/// be missing.
///
/// # Errors
/// What is wrong with this line.
pub fn member_json_row(line: &[u8], version: u64) -> Result<MemberInput, ItemProblem> {
    let known = |key: &str| MEMBER_KEYS.contains(&key);
    let input: MemberInput = typed(object(line, known, &MEMBER_KEYS.join(", "))?, version)?;
    input.clone().check()?;
    Ok(input)
}

/// Reads a line of a JSONL file of activities: an object as in the bulk call, where `version` may be
/// missing.
///
/// # Errors
/// What is wrong with this line.
pub fn activity_json_row(
    line: &[u8],
    version: u64,
    now: DateTime<Utc>,
) -> Result<ActivityInput, ItemProblem> {
    let known = |key: &str| ACTIVITY_KEYS.contains(&key);
    let input: ActivityInput = typed(object(line, known, &ACTIVITY_KEYS.join(", "))?, version)?;
    input.clone().check(now)?;
    Ok(input)
}

fn of_row(code: ItemCode, message: impl ToString) -> ItemProblem {
    ItemProblem::new(code, Slot::named("row"), message)
}

/// The object of a line, where all of its keys are known.
fn object(
    line: &[u8],
    is_known: impl Fn(&str) -> bool,
    known: &str,
) -> Result<Map<String, Value>, ItemProblem> {
    let line = without_mark(line);
    if line.len() > MAX_ROW_BYTES {
        return Err(too_long());
    }
    let text = std::str::from_utf8(line).map_err(|_| {
        of_row(
            ItemCode::EncodingNotValid,
            "the line is not UTF-8; save the file as UTF-8",
        )
    })?;
    // Messages of the parser may repeat values, so only the place is taken from them.
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|e| {
        of_row(
            ItemCode::RowNotReadable,
            format!(
                "no readable JSON object; the error is at column {}",
                e.column()
            ),
        )
    })?;
    match object.keys().find(|key| !is_known(key)) {
        Some(key) => Err(of_row(
            ItemCode::UnknownField,
            format!("nobody knows \"{}\"; an object has {known}", bounded(key)),
        )),
        None => Ok(object),
    }
}

fn typed<T: DeserializeOwned>(
    mut object: Map<String, Value>,
    version: u64,
) -> Result<T, ItemProblem> {
    object
        .entry("version")
        .or_insert_with(|| Value::from(version));
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|e| {
        of_row(
            ItemCode::RowNotReadable,
            format!(
                "\"{}\" is missing, or not of the type that is expected there",
                bounded(&e.path().to_string())
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Patch;

    fn fields() -> Fields {
        Fields::new(&[])
    }

    #[test]
    fn json_lines() {
        let read = |line: &str| json_row(line.as_bytes(), 7, &fields());
        let input = read(r#"{"id":"p-1","email":null,"fields":{"city":"Ulm"}}"#).unwrap();
        assert_eq!((input.version, input.email), (7, Patch::Clear));
        assert_eq!(
            read("\u{feff}{\"id\":\"p\",\"version\":3}")
                .unwrap()
                .version,
            3
        );

        use ItemCode as C;
        for (line, code, text) in [
            ("", C::RowNotReadable, "column 0"),
            ("[]", C::RowNotReadable, "no readable JSON object"),
            (r#"{"id":"jane secret"#, C::RowNotReadable, "column"),
            ("{}", C::RowNotReadable, "missing"),
            (r#"{"id":["jane secret"]}"#, C::RowNotReadable, "\"id\""),
            (
                r#"{"id":"p","fields":{"city":{"a":1}}}"#,
                C::RowNotReadable,
                "fields.city",
            ),
            (
                r#"{"id":"p","emial":"jane secret"}"#,
                C::UnknownField,
                "\"emial\"",
            ),
            (
                r#"{"id":"p","fields":{"nope":1}}"#,
                C::UnknownField,
                "no field of this key",
            ),
            (
                r#"{"id":"p","fields":{"email":"a@b.example"}}"#,
                C::GivenBesideFields,
                "beside",
            ),
            (r#"{"id":"p","email":"jane secret"}"#, C::EmailNotValid, "@"),
            (
                r#"{"id":"p","status":"jane secret"}"#,
                C::UnknownStatus,
                "one of",
            ),
            (
                r#"{"id":"p","version":9999999999999999999}"#,
                C::VersionNotValid,
                "whole number",
            ),
        ] {
            let problem = read(line).unwrap_err();
            assert_eq!(problem.code, code, "{line}: {problem}");
            assert!(problem.message.contains(text), "{line}: {problem}");
            assert!(
                !problem.to_string().contains("secret"),
                "a value is repeated: {problem}"
            );
        }
        assert_eq!(
            json_row(b"{\"id\":\"\xff\"}", 7, &fields())
                .unwrap_err()
                .code,
            C::EncodingNotValid
        );
        let long = vec![b' '; MAX_ROW_BYTES + 1];
        assert_eq!(
            json_row(&long, 7, &fields()).unwrap_err().code,
            C::RowTooLong
        );
    }

    #[test]
    fn lines_of_members() {
        let read = |line: &str| member_json_row(line.as_bytes(), 7);
        let input =
            read(r#"{"id":"m-1","email":"m@a.example","name":null,"active":false}"#).unwrap();
        assert_eq!(
            (input.version, input.name, input.active),
            (7, Patch::Clear, Patch::Set(false))
        );
        use ItemCode as C;
        for (line, code, text) in [
            ("[]", C::RowNotReadable, "no readable JSON object"),
            ("{}", C::RowNotReadable, "missing"),
            (
                r#"{"id":"m","fields":{}}"#,
                C::UnknownField,
                "an object has id, version, email, name, active",
            ),
            (
                r#"{"id":"m","active":"secret"}"#,
                C::RowNotReadable,
                "\"active\"",
            ),
            (r#"{"id":"m@secret"}"#, C::IdNotValid, "opaque"),
            (r#"{"id":"m","email":"secret"}"#, C::EmailNotValid, "@"),
        ] {
            let problem = read(line).unwrap_err();
            assert_eq!(problem.code, code, "{line}: {problem}");
            assert!(problem.message.contains(text), "{line}: {problem}");
            assert!(!problem.to_string().contains("secret"), "{problem}");
        }
    }
}
