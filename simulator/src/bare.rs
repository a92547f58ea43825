//! Types that HubSpot has in every portal and of which the simulator holds no records: listings and
//! definitions are there, and empty or nearly so.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    associations::envelope,
    model::{Data, Kind},
    properties, schemas,
    validate::text_of,
};

/// `plural | singular | type id`
const TYPES: [(&str, &str, &str); 24] = [
    ("products", "product", "0-7"),
    ("line_items", "line_item", "0-8"),
    ("quotes", "quote", "0-14"),
    ("feedback_submissions", "feedback_submission", "0-19"),
    ("goal_targets", "goal_target", "0-74"),
    ("goals", "goal", "0-74"),
    ("invoices", "invoice", "0-53"),
    ("subscriptions", "subscription", "0-69"),
    ("discounts", "discount", "0-84"),
    ("fees", "fee", "0-85"),
    ("taxes", "tax", "0-86"),
    ("commerce_payments", "commerce_payment", "0-101"),
    ("users", "user", "0-115"),
    ("postal_mail", "postal_mail", "0-116"),
    ("orders", "order", "0-123"),
    ("leads", "lead", "0-136"),
    ("carts", "cart", "0-142"),
    ("services", "service", "0-162"),
    ("courses", "course", "0-410"),
    ("listings", "listing", "0-420"),
    ("appointments", "appointment", "0-421"),
    ("deal_splits", "deal_split", "0-72"),
    ("forms", "form", "0-28"),
    ("conversations", "conversation", "0-11"),
];

/// One of these types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bare {
    plural: &'static str,
    singular: &'static str,
    pub(crate) type_id: &'static str,
}

impl Bare {
    /// By plural, singular or type id.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        TYPES
            .into_iter()
            .find(|(plural, singular, id)| {
                name == *id
                    || name.eq_ignore_ascii_case(plural)
                    || name.eq_ignore_ascii_case(singular)
            })
            .map(|(plural, singular, type_id)| Self {
                plural,
                singular,
                type_id,
            })
    }
}

/// An end of associations, whichever type it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Kind(Kind),
    Bare(Bare),
}

impl End {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Kind::parse(name)
            .map(Self::Kind)
            .or_else(|| Bare::parse(name).map(Self::Bare))
    }

    const fn singular(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.singular(),
            Self::Bare(bare) => bare.singular,
        }
    }
}

/// What is asked of such a type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// `/crm/objects/{version}/{type}/…`
    Objects(Bare, &'a [&'a str]),
    /// `/crm/properties/{version}/{type}/…`
    Properties(Bare, &'a [&'a str]),
    /// `/crm/pipelines/{version}/{type}/…`
    Pipelines,
    /// `/crm/associations/{version}/{from}/{to}/…`
    Associations(End, End, &'a [&'a str]),
    /// `/crm/objects/{version}/{type}/{id}/associations/{to}`
    OfRecord,
    /// `/crm/v3/schemas/{type}`
    Schema(Bare),
}

impl Ask<'_> {
    pub(crate) const fn is_about_associations(&self) -> bool {
        matches!(self, Self::Associations(..) | Self::OfRecord)
    }

    pub(crate) fn is_search(&self) -> bool {
        matches!(self, Self::Objects(_, ["search"]))
    }

    pub(crate) fn handle(&self, data: &Data, method: &str, body: &[u8], now: i64) -> Answer {
        match (self, method) {
            (Self::Objects(_, []), "GET") | (Self::OfRecord, "GET") => {
                Answer::json(200, &json!({"results": []}))
            }
            (Self::Objects(_, ["search"]), "POST") => {
                Answer::json(200, &json!({"total": 0, "results": []}))
            }
            (Self::Objects(bare, ["batch", "read"]), "POST") => {
                let ids = ids(body);
                let errors = if ids.is_empty() {
                    Vec::new()
                } else {
                    vec![json!({
                        "status": "error", "category": "OBJECT_NOT_FOUND",
                        "message": format!("Could not get some {} objects, they may be deleted or not exist. Check that ids are valid.", bare.singular.to_uppercase()),
                        "context": {"ids": ids},
                    })]
                };
                envelope(Vec::new(), errors, now)
            }
            (Self::Properties(_, []), "GET") => {
                Answer::json(200, &json!({"results": definitions(data)}))
            }
            (Self::Properties(bare, ["groups"]), "GET") => Answer::json(
                200,
                &json!({"results": [{
                    "name": format!("{}_information", bare.singular),
                    "label": format!("{} information", bare.singular),
                    "displayOrder": 0, "archived": false,
                }]}),
            ),
            (Self::Properties(_, [name]), "GET") => definitions(data)
                .into_iter()
                .find(|d| d["name"] == *name)
                .map_or_else(Answer::not_found, |d| Answer::json(200, &d)),
            (Self::Pipelines, "GET") => Answer::json(200, &json!({"results": []})),
            (Self::Associations(from, to, ["batch", "read"]), "POST") => {
                none(*from, *to, &ids(body), now)
            }
            (Self::Associations(_, _, ["labels" | "types"]), "GET") => {
                Answer::json(200, &json!({"results": []}))
            }
            (Self::Schema(bare), "GET") => {
                schemas::bare(bare.singular, bare.plural, bare.type_id, &definitions(data))
            }
            _ => Answer::not_found(),
        }
    }
}

/// Three of the properties that all types have.
fn definitions(data: &Data) -> Vec<Value> {
    properties::some(
        data,
        Kind::Note,
        &["hs_object_id", "hs_createdate", "hs_lastmodifieddate"],
    )
}

/// The ids of a batch.
fn ids(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        inputs: Vec<Input>,
    }
    #[derive(Deserialize)]
    struct Input {
        id: Value,
    }
    serde_json::from_slice::<Inputs>(body)
        .map(|all| all.inputs.iter().filter_map(|i| text_of(&i.id)).collect())
        .unwrap_or_default()
}

/// Nothing is associated with anything of these types.
fn none(from: End, to: End, ids: &[String], now: i64) -> Answer {
    let errors = ids.iter().map(|id| {
        json!({
            "status": "error", "category": "OBJECT_NOT_FOUND",
            "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
            "message": format!("No {} is associated with {} {id}.", to.singular(), from.singular()),
            "context": {
                "fromObjectId": [id],
                "fromObjectType": [from.singular()], "toObjectType": [to.singular()],
            },
        })
    });
    envelope(Vec::new(), errors.collect(), now)
}
