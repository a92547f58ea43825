//! What stands in the bodies of HubSpot's refusals, and what it is taken for.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::{Detail, Error, FieldCode, FieldProblem, RatePolicy};

/// HubSpot's error body, and an item of a multi-status answer; every field is optional, and one that
/// is not of the documented type counts as missing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ErrorBody {
    #[serde(deserialize_with = "lenient")]
    message: String,
    #[serde(deserialize_with = "lenient")]
    correlation_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    sub_category: Option<String>,
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    policy_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    error_type: Option<String>,
    #[serde(deserialize_with = "each")]
    errors: Vec<ErrorItem>,
    #[serde(deserialize_with = "lenient")]
    context: ErrorContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorItem {
    #[serde(deserialize_with = "lenient")]
    message: String,
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    sub_category: Option<String>,
    /// The part of the request that is wrong, such as a property.
    #[serde(rename = "in", deserialize_with = "lenient")]
    part: Option<String>,
    #[serde(deserialize_with = "lenient")]
    context: ErrorContext,
}

impl ErrorItem {
    fn own_code(&self) -> Option<&str> {
        self.code
            .as_deref()
            .or_else(|| self.sub_category.as_deref()?.rsplit('.').next())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorContext {
    #[serde(deserialize_with = "texts")]
    property_name: Vec<String>,
    #[serde(deserialize_with = "texts")]
    required_granular_scopes: Vec<String>,
    #[serde(deserialize_with = "texts")]
    required_scopes: Vec<String>,
    #[serde(deserialize_with = "texts")]
    existing_id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    object_write_trace_id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    ids: Vec<String>,
    #[serde(deserialize_with = "texts")]
    id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    from_object_id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    to_object_id: Vec<String>,
    #[serde(deserialize_with = "texts")]
    name: Vec<String>,
}

/// A value of another type than documented is none.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A list, of which each item that is of another type than documented is as one that says nothing.
pub(crate) fn each<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(items) => items
            .into_iter()
            .map(|item| serde_json::from_value(item).unwrap_or_default())
            .collect(),
        _ => Vec::new(),
    })
}

/// Texts as HubSpot writes them in a `context`: a list, mostly; also one alone, and numbers.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(items) => items.into_iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    })
}

/// An error of a multi-status answer, with what it says of the inputs it is about.
#[derive(Debug, Clone)]
pub(crate) struct ItemError {
    pub(crate) error: Error,
    /// `objectWriteTraceId`s of the inputs.
    pub(crate) traces: Vec<String>,
    /// Ids of the inputs.
    pub(crate) ids: Vec<String>,
    /// For associations: the other ends.
    pub(crate) to_ids: Vec<String>,
    /// For property definitions: their names.
    pub(crate) names: Vec<String>,
    /// The records that are named have no associations: an answer, and no error.
    pub(crate) says_none: bool,
}

impl ErrorBody {
    fn detail(&self) -> Detail {
        Detail {
            text: self.message.clone(),
            correlation_id: self.correlation_id.clone(),
        }
    }

    /// A code for a refusal that has no `errors` of its own.
    fn own_code(&self) -> Option<&str> {
        self.code
            .as_deref()
            .or_else(|| self.sub_category.as_deref()?.rsplit('.').next())
            .or(self.error_type.as_deref())
            .or(self.category.as_deref())
    }

    fn problems(&self) -> Vec<FieldProblem> {
        let problem = |code: &str, names: &[String], text: &str| -> Vec<FieldProblem> {
            let of = |property: Option<&String>| FieldProblem {
                property: property.cloned(),
                code: message::code(code, text),
            };
            if names.is_empty() {
                vec![of(None)]
            } else {
                names.iter().map(|name| of(Some(name))).collect()
            }
        };
        let outer = &self.context.property_name;
        let mut problems: Vec<FieldProblem> = self
            .errors
            .iter()
            .filter_map(|e| {
                let names = &e.context.property_name;
                // The name may stand one level up when there is one error only.
                let names = if names.is_empty() && self.errors.len() == 1 {
                    outer
                } else {
                    names
                };
                let part: Vec<String> = e.part.iter().cloned().collect();
                let names = if names.is_empty() { &part } else { names };
                let named = (!names.is_empty()).then(|| self.own_code().unwrap_or_default());
                Some(problem(e.own_code().or(named)?, names, &e.message))
            })
            .flatten()
            .collect();
        if problems.is_empty() {
            problems = message::problems(&self.message);
        }
        if problems.is_empty()
            && (!outer.is_empty() || self.code.is_some())
            && let Some(code) = self.own_code()
        {
            problems = problem(code, outer, &self.message);
        }
        if problems.is_empty() && message::says_erased(&self.message) {
            problems = problem("", &["email".to_owned()], &self.message);
        }
        problems.sort();
        problems.dedup();
        problems
    }

    /// The scopes that a refusal names, in any of the ways that were seen (`hubspot-api.md` §7).
    fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for context in self
            .errors
            .iter()
            .map(|e| &e.context)
            .chain([&self.context])
        {
            for scope in context
                .required_granular_scopes
                .iter()
                .chain(&context.required_scopes)
            {
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
        }
        scopes
    }

    /// A 403, or an item that stands for one.
    fn forbidden(&self) -> Error {
        let scopes = self.scopes();
        if self.category.as_deref() == Some("MISSING_SCOPES") || !scopes.is_empty() {
            Error::ScopeMissing { scopes }
        } else {
            Error::Forbidden {
                detail: self.detail(),
            }
        }
    }

    fn existing(&self) -> Option<crate::RecordId> {
        self.context.existing_id.first()?.parse().ok()
    }

    fn conflict(&self) -> Error {
        Error::Conflict {
            existing: self
                .existing()
                .or_else(|| message::existing_id(&self.message)?.parse().ok()),
            property: None,
        }
    }

    /// A refusal for what the request says. A taken unique value alone is a conflict, and missing
    /// values alone a rule of the portal; with other problems beside them the request is wrong in
    /// itself.
    fn refusal(&self, status: u16) -> Error {
        let problems = self.problems();
        if let [
            FieldProblem {
                property,
                code: FieldCode::ConflictingUniqueValue,
            },
        ] = problems.as_slice()
        {
            return Error::Conflict {
                existing: self.existing(),
                property: property.clone(),
            };
        }
        if !problems.is_empty() && problems.iter().all(|p| p.code.is_portal_rule()) {
            let texts = self.errors.iter().map(|e| &e.message);
            return Error::PortalRule {
                problems,
                because_of: message::because_of(texts.chain([&self.message])),
                detail: self.detail(),
            };
        }
        Error::Invalid {
            status,
            problems,
            detail: self.detail(),
        }
    }

    fn limited(&self) -> Error {
        Error::RateLimited {
            retry_after: None,
            policy: RatePolicy::parse(self.policy_name.clone()),
        }
    }

    /// Classifies an item of a multi-status answer: it has no status of its own, only a category.
    pub(crate) fn into_item(self) -> ItemError {
        let error = match self.category.as_deref() {
            Some("CONFLICT" | "OBJECT_ALREADY_EXISTS") => self.conflict(),
            Some("OBJECT_NOT_FOUND") => Error::NotFound,
            Some("MISSING_SCOPES" | "FORBIDDEN" | "BANNED") => self.forbidden(),
            // By the changelog the one, in answers that were seen the other (`hubspot-api.md` §4).
            Some("RATE_LIMITS" | "RATE_LIMIT") => self.limited(),
            None if self.error_type.as_deref() == Some("RATE_LIMIT") => self.limited(),
            Some("INTERNAL_ERROR" | "SERVICE_UNAVAILABLE" | "TIMEOUT") => Error::Transient {
                status: None,
                retry_after: None,
            },
            _ => self.refusal(207),
        };
        let says_none = self
            .sub_category
            .as_deref()
            .and_then(|s| s.rsplit('.').next())
            == Some("NO_ASSOCIATIONS_FOUND");
        let context = self.context;
        ItemError {
            error,
            traces: context.object_write_trace_id,
            ids: [context.ids, context.id, context.from_object_id].concat(),
            to_ids: context.to_object_id,
            names: [context.name, context.property_name].concat(),
            says_none,
        }
    }
}

/// Classifies an answer that is not 2xx. `write` says whether the request may have changed something.
pub(crate) fn classify(
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    write: bool,
) -> Error {
    let parsed = serde_json::from_slice::<ErrorBody>(body).ok();
    // HubSpot's own refusals are JSON, or empty. Anything else is a gateway's: what it says about
    // the request, or that there is no such record, is not to be believed.
    let by_hubspot = parsed.is_some() || body.iter().all(u8::is_ascii_whitespace);
    let page = body.trim_ascii_start().first() == Some(&b'<');
    let body = parsed.unwrap_or_default();
    match status {
        401 => Error::Unauthorized(body.detail()),
        429 => Error::RateLimited {
            retry_after,
            policy: RatePolicy::parse(body.policy_name.clone().or(body.error_type.clone())),
        },
        // Locked, or being moved to another data centre: certainly not applied.
        423 | 477 => Error::Transient {
            status: Some(status),
            retry_after,
        },
        408 | 500..=599 if write => Error::OutcomeUnknown,
        408 | 500..=599 => Error::Transient {
            status: Some(status),
            retry_after,
        },
        300..=399 => Error::UnexpectedResponse {
            context: "redirect",
        },
        400 if page => Error::UnexpectedResponse {
            context: "a page in place of a refusal",
        },
        403 | 404 | 409 if !by_hubspot => Error::UnexpectedResponse {
            context: "refusal that is not HubSpot's",
        },
        403 => body.forbidden(),
        404 => Error::NotFound,
        409 => body.conflict(),
        _ => body.refusal(status),
    }
}

/// Data that HubSpot gives in its text only (`hubspot-api.md` §7). Nothing is classified by it: the
/// text is read only for a value that no field holds.
mod message {
    use serde::Deserialize;

    use super::{FieldCode, FieldProblem};

    /// `Contact already exists. Existing ID: 37765128953`: single creates have no `context`.
    pub(super) fn existing_id(message: &str) -> Option<&str> {
        let (_, id) = message.rsplit_once("Existing ID: ")?;
        Some(id.trim())
    }

    /// `Property values were not valid: [{"error": "INVALID_EMAIL", "name": "email", …}]`: some
    /// answers have no `errors`.
    pub(super) fn problems(message: &str) -> Vec<FieldProblem> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Item {
            #[serde(deserialize_with = "super::lenient")]
            error: String,
            #[serde(deserialize_with = "super::lenient")]
            name: Option<String>,
            #[serde(deserialize_with = "super::lenient")]
            message: String,
        }
        let Some((_, list)) = message.split_once("Property values were not valid: ") else {
            return Vec::new();
        };
        // More text may follow.
        let mut lists = serde_json::Deserializer::from_str(list).into_iter::<Vec<Item>>();
        let items = lists.next().and_then(Result::ok).unwrap_or_default();
        items
            .into_iter()
            .map(|item| FieldProblem {
                property: item.name,
                code: code(&item.error, &item.message),
            })
            .collect()
    }

    /// What is wrong by HubSpot's code; an erased address has no code of its own (`hubspot-api.md` §15.14).
    pub(super) fn code(code: &str, text: &str) -> FieldCode {
        match FieldCode::parse(code) {
            FieldCode::InvalidEmail | FieldCode::Other(_) if says_erased(text) => {
                FieldCode::ErasedAddress
            }
            known => known,
        }
    }

    /// `Email address a@b.com is GDPR blacklisted`. An address may have the word in it.
    pub(super) fn says_erased(text: &str) -> bool {
        text.split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .any(|word| {
                word.eq_ignore_ascii_case("blacklisted") || word.eq_ignore_ascii_case("blocklisted")
            })
    }

    /// `p is required because of a conditional property rule based on [q]`: the properties that ask for
    /// the others.
    pub(super) fn because_of<'t>(texts: impl IntoIterator<Item = &'t String>) -> Vec<String> {
        let mut names: Vec<String> = texts
            .into_iter()
            .flat_map(|text| text.split("rule based on [").skip(1))
            .filter_map(|rest| rest.split_once(']'))
            .flat_map(|(list, _)| list.split(','))
            .map(|name| {
                name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_')
                    .to_owned()
            })
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
