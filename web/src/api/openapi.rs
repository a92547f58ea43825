//! The OpenAPI document: from the types and handlers, completed by what is the same for all calls.

use std::collections::BTreeMap;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        Content, Ref, RefOr, Required, Response,
        header::Header,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{AnyOfBuilder, ArrayItems, ObjectBuilder, Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// What every call shares.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "HubSpot sync",
        description = "Puts the app's people, companies, team and settings in, and takes results out. Refusals are problem details (RFC 9457); decide by their `code`.",
        license(name = "MIT", identifier = "MIT"),
        contact(name = "The operators of this installation")
    ),
    servers((url = "/api/v1", description = "This server")),
    tags(
        (name = "workspaces", description = "Workspaces and their service tokens"),
        (name = "connection", description = "The workspace's HubSpot connection"),
        (name = "people", description = "People, their statuses and outreach facts"),
        (name = "activities", description = "What was done about people and what came back, for HubSpot's timeline"),
        (name = "companies", description = "Companies"),
        (name = "members", description = "The team, and the HubSpot owners that it is mapped to"),
        (name = "profiles", description = "What both sides say of people and companies, and which of it wins"),
        (name = "lists", description = "HubSpot's lists: audiences and suppression lists"),
        (name = "fields", description = "Catalogue and custom fields"),
        (name = "settings", description = "How the two systems meet"),
        (name = "exports", description = "Requests to export people to HubSpot, and what came of them"),
        (name = "changes", description = "What is new, for a main app that follows it"),
        (name = "erasure", description = "Erasing people, purging workspaces"),
    ),
    components(schemas(
        domain::api::Problem,
        domain::api::PageCursor,
        domain::api::PageLimit,
        domain::api::WaitSeconds,
        domain::export::RequestState,
    )),
    security(("bearer" = [])),
    modifiers(&Shared),
)]
pub(crate) struct Doc;

struct Shared;

/// The content type of refusals.
const PROBLEM: &str = "application/problem+json";

/// Status, name of the component, description.
const REFUSALS: [(&str, &str, &str); 9] = [
    ("401", "Unauthorized", "The token is missing or wrong."),
    ("403", "Forbidden", "A workspace's token does not do this."),
    (
        "404",
        "NotFound",
        "The workspace or the record is not known.",
    ),
    (
        "409",
        "Conflict",
        "It does not go with the state of things.",
    ),
    ("408", "TooSlow", "The body did not come in time."),
    ("413", "TooLarge", "The body is too large."),
    (
        "422",
        "Unprocessable",
        "Something in the request is wrong; the detail names it.",
    ),
    ("500", "Defect", "The server failed at this request."),
    ("503", "Unavailable", "Not just now; it can be sent again."),
];

impl Modify for Shared {
    fn modify(&self, doc: &mut utoipa::openapi::OpenApi) {
        let components = doc.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some(
                        "A service token of the workspace, or API_TOKEN of the installation.",
                    ))
                    .build(),
            ),
        );
        for (_, name, description) in REFUSALS {
            let mut response = Response::new(description);
            response.content.insert(
                PROBLEM.to_owned(),
                RefOr::T(Content::new(Some(Ref::from_schema_name("Problem")))),
            );
            components
                .responses
                .insert(name.to_owned(), RefOr::T(response));
        }
    }
}

/// Adds to each operation what it has in common with the others.
pub(crate) fn complete(mut doc: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    if let Some(components) = &mut doc.components {
        name_items_of_pages(&mut components.schemas);
    }
    for (path, item) in &mut doc.paths.paths {
        let post = item.post.is_some() && !crate::api::idempotency::answer_is_not_kept(path);
        for operation in [
            item.get.as_mut(),
            item.put.as_mut(),
            item.post.as_mut(),
            item.delete.as_mut(),
        ]
        .into_iter()
        .flatten()
        {
            operation
                .responses
                .responses
                .values_mut()
                .for_each(with_plain_problem);
            for (status, name, _) in REFUSALS {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| RefOr::Ref(Ref::from_response_name(name)));
            }
        }
        if post && let Some(operation) = item.post.as_mut() {
            with_key(operation);
        }
    }
    doc
}

/// A refusal that says more in one case is plain in the others: of the settings that were sent, say,
/// which rows are wrong, or only that they are no JSON.
fn with_plain_problem(response: &mut RefOr<Response>) {
    if let RefOr::T(response) = response
        && let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM)
        && let Some(RefOr::Ref(special)) = content.schema.take()
    {
        let plain = Ref::from_schema_name("Problem");
        content.schema = Some(if special.ref_location == plain.ref_location {
            plain.into()
        } else {
            AnyOfBuilder::new().item(special).item(plain).into()
        });
    }
}

/// The schema of a generic page holds that of its items once more, which have one of their own.
fn name_items_of_pages(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in &names {
        if let Some(item) = name.strip_prefix("Page_")
            && names.iter().any(|n| n == item)
            && let Some(RefOr::T(Schema::Object(page))) = schemas.get_mut(name)
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            let to = RefOr::Ref(Ref::from_schema_name(item));
            items.items = ArrayItems::RefOrSchema(Box::new(to));
        }
    }
}

fn with_key(operation: &mut Operation) {
    let key: Parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Sent again with the same key within 24 hours, the call is not done again: it gets the first answer.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[!-~]+$"))
                .build(),
        ))
        .build();
    operation
        .parameters
        .get_or_insert_default()
        .push(RefOr::T(key));
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let mut header = Header::new(
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .build(),
            );
            header.description =
                Some("`true` when the answer is that of an earlier call.".to_owned());
            response
                .headers
                .insert("Idempotency-Replayed".to_owned(), RefOr::T(header));
        }
    }
}
