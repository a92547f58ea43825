//! `/api/v1`: the door for data, in any language (X8). One module for each kind of thing.

mod activities;
mod auth;
pub(crate) mod bulk;
mod changes;
pub(crate) mod connection;
mod consents;
mod deals;
pub(crate) mod dnc;
mod erasure;
pub(crate) mod exports;
mod extract;
mod fields;
pub(crate) mod idempotency;
pub(crate) mod journal;
pub(crate) mod lists;
mod openapi;
pub(crate) mod own_properties;
pub(crate) mod owners;
pub(crate) mod previews;
pub(crate) mod profiles;
mod records;
pub(crate) mod settings;
mod tokens;
pub(crate) mod touches;

use axum::{Router, http::header, routing::get};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use connection::Ticket;
pub(crate) use extract::read_whole;

use crate::{problem::Refusal, state::App};

/// How long a link and a state are good (C1).
pub(crate) const GOOD_FOR: TimeDelta = TimeDelta::minutes(10);
/// The most that the body of a bulk call may have: a thousand items of 8 kB.
pub(crate) const MOST_BYTES: usize = 8 * 1024 * 1024;
/// The most that any other body may have.
pub(crate) const USUAL_BYTES: usize = 1024 * 1024;

/// Now, as exactly as Postgres keeps it: what is answered then equals what is read later.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::Doc::openapi())
        .routes(routes!(connection::connect))
        .routes(routes!(consents::list_consents))
        .routes(routes!(consents::confirm_consent))
        .routes(routes!(consents::refuse_consent))
        .routes(routes!(connection::status))
        .routes(routes!(connection::resync))
        .routes(routes!(connection::disconnect))
        .routes(routes!(records::upsert_people, records::list_people))
        .routes(routes!(records::get_person))
        .routes(routes!(profiles::person_profile))
        .routes(routes!(profiles::company_profile))
        .routes(routes!(profiles::many_profiles))
        .routes(routes!(dnc::get_verdict))
        .routes(routes!(dnc::check_verdicts))
        .routes(routes!(deals::list_person_deals))
        .routes(routes!(touches::list_person_touches))
        .routes(routes!(activities::upsert_activities))
        .routes(routes!(activities::list_person_activities))
        .routes(routes!(records::set_statuses))
        .routes(routes!(records::set_outreach))
        .routes(routes!(records::upsert_companies, records::list_companies))
        .routes(routes!(records::get_company))
        .routes(routes!(deals::list_company_deals))
        .routes(routes!(records::upsert_members, records::list_members))
        .routes(routes!(records::get_member))
        .routes(routes!(fields::list_fields))
        .routes(routes!(fields::upsert_custom_fields))
        .routes(routes!(settings::get_settings, settings::put_settings))
        .routes(routes!(settings::check_settings))
        .routes(routes!(settings::default_settings))
        .routes(routes!(own_properties::make_own_properties))
        .routes(routes!(owners::list_owners))
        .routes(routes!(lists::list_lists))
        .routes(routes!(lists::list_list_members))
        .routes(routes!(exports::export_person, exports::list_exports))
        .routes(routes!(exports::summarize_exports))
        .routes(routes!(exports::retry_exports))
        .routes(routes!(exports::resume_row))
        .routes(routes!(exports::get_export))
        .routes(routes!(exports::retry_export))
        .routes(routes!(exports::export_in_bulk))
        .routes(routes!(bulk::start_bulk_export))
        .routes(routes!(bulk::get_bulk_export))
        .routes(routes!(bulk::confirm_bulk_export))
        .routes(routes!(bulk::cancel_bulk_export))
        .routes(routes!(previews::preview_export))
        .routes(routes!(journal::list_person_journal))
        .routes(routes!(journal::get_journal_entry))
        .routes(routes!(journal::revert_journal_entry))
        .routes(routes!(journal::get_revert))
        .routes(routes!(changes::list_changes))
        .routes(routes!(erasure::erase_person))
        .routes(routes!(erasure::purge_workspace))
        .routes(routes!(tokens::create_token, tokens::list_tokens))
        .routes(routes!(tokens::revoke_token))
}

/// The OpenAPI document, as JSON.
pub(crate) fn document() -> String {
    let (_, doc) = routes().split_for_parts();
    openapi::complete(doc).to_pretty_json().unwrap_or_default()
}

pub(crate) fn router(app: App) -> Router<App> {
    let (router, _) = routes().split_for_parts();
    let doc = document();
    let protected = router
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            idempotency::replay,
        ))
        .layer(axum::middleware::from_fn_with_state(app, auth::authorize));
    // Whoever wants to call may read how, before having a token.
    let open = Router::new().route(
        "/openapi.json",
        get(move || {
            let doc = doc.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], doc) }
        })
        .fallback(async || Refusal::MethodNotAllowed),
    );
    open.merge(protected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc() -> serde_json::Value {
        let (_, doc) = routes().split_for_parts();
        serde_json::to_value(openapi::complete(doc)).unwrap()
    }

    #[test]
    fn every_operation_is_described_and_refuses_in_one_form() {
        let doc = doc();
        assert_eq!(doc["openapi"], "3.1.0");
        let mut operations = 0;
        for (path, item) in doc["paths"].as_object().unwrap() {
            assert!(path.starts_with("/workspaces/{workspace}/"), "{path}");
            for (method, operation) in item.as_object().unwrap() {
                operations += 1;
                let at = format!("{method} {path}");
                for name in ["operationId", "summary", "tags"] {
                    assert!(!operation[name].is_null(), "{at}: {name}");
                }
                for status in ["401", "404", "422", "503"] {
                    assert!(!operation["responses"][status].is_null(), "{at}: {status}");
                }
            }
        }
        assert!(operations >= 25, "{operations}");
    }

    #[test]
    fn a_refusal_that_says_more_may_be_a_plain_one() {
        let doc = doc();
        let put = &doc["paths"]["/workspaces/{workspace}/settings"]["put"]["responses"];
        for (status, more) in [("409", "SettingsConflict"), ("422", "SettingsRefused")] {
            let refs: Vec<_> = [more, "Problem"]
                .map(|name| serde_json::json!({"$ref": format!("#/components/schemas/{name}")}))
                .into();
            let content = &put[status]["content"]["application/problem+json"];
            assert_eq!(content["schema"]["anyOf"], serde_json::json!(refs));
        }
        let connect = &doc["paths"]["/workspaces/{workspace}/hubspot/connect"]["post"];
        let content = &connect["responses"]["502"]["content"]["application/problem+json"];
        assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
            match value {
                serde_json::Value::Object(all) => {
                    for (name, value) in all {
                        match value.as_str() {
                            Some(to) if name == "$ref" => found.push(to),
                            _ => references(value, found),
                        }
                    }
                }
                serde_json::Value::Array(all) => all.iter().for_each(|v| references(v, found)),
                _ => {}
            }
        }
        let doc = doc();
        let mut found = Vec::new();
        references(&doc, &mut found);
        assert!(found.len() > 50);
        for to in &found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(doc.pointer(pointer).is_some(), "{to}");
        }
        // And nothing is there that nobody refers to.
        for name in doc["components"]["schemas"].as_object().unwrap().keys() {
            let to = format!("#/components/schemas/{name}");
            assert!(found.contains(&to.as_str()), "{name}");
        }
    }
}
