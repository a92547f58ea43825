//! What handlers take from a request. Whatever is wrong becomes a problem that names the place.

use std::str::FromStr;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request},
    http::{HeaderMap, request::Parts},
};
use domain::{
    WorkspaceId,
    api::MAX_ITEMS,
    app::{ItemCode, ItemProblem, Slot},
};
use futures::StreamExt as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    api::{MOST_BYTES, auth::Caller},
    problem::Refusal,
    state::App,
};

/// The workspace of the path, which is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct In(pub(crate) WorkspaceId);

/// The ids of the path.
pub(crate) struct Ids(RawPathParams);

/// The query of the address.
pub(crate) struct Asked<T>(pub(crate) T);

/// The installation's own token is needed.
pub(crate) struct Installation;

impl Ids {
    /// An id of the path, by the name it has there. What was given is not repeated.
    pub(crate) fn get<T: FromStr<Err = domain::IdError>>(&self, name: &str) -> Result<T, Refusal> {
        let text = self
            .0
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, text)| text)
            .unwrap_or_default();
        text.parse()
            .map_err(|e| Refusal::Malformed(format!("{name}: {e}")))
    }
}

impl FromRequestParts<App> for Ids {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        RawPathParams::from_request_parts(parts, app)
            .await
            .map(Self)
            .map_err(|_| Refusal::Malformed("the path is not valid UTF-8".to_owned()))
    }
}

impl FromRequestParts<App> for In {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let workspace = <Ids as FromRequestParts<App>>::from_request_parts(parts, app)
            .await?
            .get("workspace")?;
        known(app, parts.extensions.get().copied(), workspace).await?;
        Ok(Self(workspace))
    }
}

/// A token of the workspace proves that it is known.
async fn known(app: &App, caller: Option<Caller>, workspace: WorkspaceId) -> Result<(), Refusal> {
    if caller == Some(Caller::Workspace(workspace))
        || app.parts()?.store.workspace_exists(workspace).await?
    {
        Ok(())
    } else {
        Err(Refusal::UnknownWorkspace)
    }
}

impl FromRequestParts<App> for Installation {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Installation) => Ok(Self),
            _ => Err(Refusal::InstallationOnly),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Refusal> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(value)| Self(value))
            .map_err(|e| {
                use std::error::Error as _;
                let message = e.source().map(ToString::to_string).unwrap_or_default();
                Refusal::Malformed(match message.split_once(": ") {
                    Some((field, rest)) if is_plain(field) => {
                        format!("query: {field}: {}", what_is_wrong(rest))
                    }
                    _ => format!("query: {}", what_is_wrong(&message)),
                })
            })
    }
}

/// The items of a bulk call, each read for itself: one that cannot be read does not hold up the rest.
pub(crate) struct Bulk<T>(pub(crate) Vec<Result<T, ItemProblem>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Items<T> {
    items: Vec<T>,
}

/// What is read from a JSON object only. Serde reads a structure from an array too, value by value:
/// `[]` would be an empty one.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }

        from.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            .map(Self)
    }
}

impl<T: DeserializeOwned> Bulk<T> {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        // Mostly all can be read, and reading them at once is faster.
        let items = match serde_json::from_slice::<Object<Items<Object<T>>>>(bytes) {
            Ok(Object(all)) => all.items.into_iter().map(|Object(item)| Ok(item)).collect(),
            Err(_) => {
                // Raw values want to be read from the text itself.
                let all: Items<Box<RawValue>> = serde_json::from_slice(bytes)
                    .ok()
                    .filter(|_| is_object(bytes))
                    .ok_or_else(|| {
                        Refusal::Malformed(complaint::<Object<Items<serde_json::Value>>>(bytes))
                    })?;
                all.items.iter().map(|raw| item_of(raw)).collect::<Vec<_>>()
            }
        };
        match items.len() {
            0 => Err(Refusal::Malformed("items: give at least one".to_owned())),
            n if n > MAX_ITEMS => Err(Refusal::TooMany("items")),
            _ => Ok(Self(items)),
        }
    }
}

fn item_of<T: DeserializeOwned>(raw: &RawValue) -> Result<T, ItemProblem> {
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let read = serde_path_to_error::deserialize(&mut json);
    read.map(|Object(item)| item).map_err(|error| {
        let path = error.path().to_string();
        let place = if is_plain(&path) {
            path
        } else {
            "item".to_owned()
        };
        let slot = serde_json::from_value(place.into()).unwrap_or(Slot::named("item"));
        let what = what_is_wrong(&error.inner().to_string());
        ItemProblem::new(ItemCode::RowNotReadable, slot, what)
    })
}

/// Whether a path consists of names and places. Keys of maps may be anything, and are not repeated
/// then.
fn is_plain(path: &str) -> bool {
    path != "."
        && path.len() <= 100
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._[]".contains(&b))
}

impl<T: DeserializeOwned> FromRequest<App> for Bulk<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &App) -> Result<Self, Refusal> {
        Self::read(&read_whole(request.into_body()).await?)
    }
}

/// How much of a body that is too large is read and thrown away.
const MOST_DRAINED: usize = 8 * MOST_BYTES;

fn is_object(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

/// A body of [`MOST_BYTES`] at most. Of a larger one the rest is still taken from the line, within
/// reason: a client that is cut off while it sends seldom gets to see the answer that says why.
pub(crate) async fn read_whole(body: Body) -> Result<Vec<u8>, Refusal> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::TooLarge(MOST_BYTES))?;
        seen += chunk.len();
        if seen > MOST_DRAINED {
            break;
        }
        if seen > MOST_BYTES {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if seen > MOST_BYTES {
        return Err(Refusal::TooLarge(MOST_BYTES));
    }
    Ok(bytes)
}

/// A body; an empty one stands for `{}`. Of what serde says only the place and the kind are
/// repeated: values may be secrets or personal data.
pub(crate) fn body_of<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refusal> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    match serde_json::from_slice(bytes) {
        Ok(Object(value)) => Ok(value),
        Err(_) => Err(Refusal::Malformed(complaint::<Object<T>>(bytes))),
    }
}

/// Reads again what could not be read, this time noting the way to the place. Slower, so only then.
fn complaint<T: DeserializeOwned>(bytes: &[u8]) -> String {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
        return "the body goes on behind its JSON".to_owned();
    };
    let inner = error.inner();
    let place = format!("line {}, column {}", inner.line(), inner.column());
    match inner.classify() {
        serde_json::error::Category::Data => {
            let path = error.path().to_string();
            let what = what_is_wrong(&inner.to_string());
            if is_plain(&path) {
                format!("{path}: {what} ({place})")
            } else {
                format!("{what} ({place})")
            }
        }
        _ => format!("the body is not valid JSON ({place})"),
    }
}

/// The kind of serde's complaint without the value that it quotes.
pub(crate) fn what_is_wrong(message: &str) -> String {
    for start in [
        "missing field `",
        "unknown field `",
        "duplicate field `",
        "unknown variant `",
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            let kind = start.trim_end_matches('`').trim();
            let expected = rest
                .split_once("expected ")
                .map(|(_, e)| e.split(" at line").next().unwrap_or_default())
                .map_or_else(String::new, |e| format!("; expected {e}"));
            let name = if start.contains("variant") {
                String::new()
            } else {
                let name = rest.split('`').next().unwrap_or_default();
                let plain = name.len() <= 40
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if plain {
                    format!(" {name}")
                } else {
                    String::new()
                }
            };
            return format!("{kind}{name}{expected}");
        }
    }
    // Our own types say what they expect, and never what they got.
    if let Some(rest) = message.strip_prefix("not a valid ") {
        let rest = rest.split(" at line").next().unwrap_or_default();
        return format!("not a valid {rest}");
    }
    if message.contains("expected an object") {
        return "an object is wanted, such as {}".to_owned();
    }
    "a field has a value of the wrong kind".to_owned()
}

/// A header that is text, or none.
pub(crate) fn text_header<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> Result<Option<&'a str>, Refusal> {
    headers
        .get(name)
        .map(|value| {
            value
                .to_str()
                .map_err(|_| Refusal::Malformed(format!("header {name}: is not plain text")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use domain::{ResyncRequest, api::ConnectRequest};

    use super::*;

    #[test]
    fn an_item_that_cannot_be_read_does_not_hold_up_the_rest() {
        let body = br#"{"items":[{"id":"p1","version":1},{"id":"p2","version":"sekret"},
            {"id":"p3","version":1,"fields":{"first_name":{"sekret":1}}},{"version":1},7]}"#;
        let items = Bulk::<domain::app::PersonInput>::read(body).unwrap().0;
        assert!(items[0].is_ok());
        let problems: Vec<String> = items[1..]
            .iter()
            .map(|i| i.as_ref().unwrap_err().to_string())
            .collect();
        assert!(problems[0].contains("version"), "{problems:?}");
        assert!(problems[1].contains("fields.first_name"), "{problems:?}");
        assert!(problems[2].contains("missing field id"), "{problems:?}");
        assert!(
            problems
                .iter()
                .all(|p| p.contains("HS-2216") && !p.contains("sekret"))
        );
        let arrays = br#"{"items":[["p1",1]]}"#;
        let items = Bulk::<domain::app::PersonInput>::read(arrays).unwrap().0;
        assert!(items[0].is_err());
        for (body, want) in [
            ("[[]]", "an object"),
            (r#"[[{"id":"p1","version":1}]]"#, "an object"),
            (r#"{"items":[]}"#, "at least one"),
            (r#"{"items":{}}"#, "items"),
            (r#"{"items":[1],"more":1}"#, "unknown field more"),
            (r#"{"items":["#, "not valid JSON"),
        ] {
            let refused = Bulk::<domain::app::PersonInput>::read(body.as_bytes());
            let detail = refused.err().unwrap().problem().detail;
            assert!(detail.contains(want), "{detail}");
        }
    }

    #[test]
    fn bad_bodies_name_the_field_and_not_the_value() {
        let table = [
            (r#"{"admin":"sekret"}"#, "wrong kind"),
            ("{}", "missing field admin"),
            (
                r#"{"admin":"00000000-0000-0000-0000-000000000000","sekret!":1}"#,
                "unknown field",
            ),
            ("[]", "an object"),
            (r#"["00000000-0000-0000-0000-000000000000"]"#, "an object"),
            ("7", "an object"),
            ("{", "not valid JSON"),
            ("{}{", "not valid JSON"),
            (
                r#"{"admin":"00000000-0000-0000-0000-000000000000"} {}"#,
                "goes on",
            ),
        ];
        for (body, want) in table {
            let refused = body_of::<ConnectRequest>(&Bytes::from(body)).unwrap_err();
            let detail = refused.problem().detail;
            assert!(detail.contains(want) || body == "{}{", "{detail}");
            assert!(!detail.contains("sekret"), "{detail}");
        }
        assert!(body_of::<ResyncRequest>(&Bytes::from("[]")).is_err());
        assert!(body_of::<ResyncRequest>(&Bytes::new()).is_ok());
        let refused =
            body_of::<ResyncRequest>(&Bytes::from(r#"{"types":["sekret"]}"#)).unwrap_err();
        let detail = refused.problem().detail;
        assert!(
            detail.contains("types[0]")
                && detail.contains("contacts")
                && !detail.contains("sekret"),
            "{detail}"
        );
    }
}
