//! Where HubSpot tells us of changes (I9): checked, stored as rows, answered. What is read because of
//! it, and when, is `WebhookRead`'s.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use domain::{
    HubSpotObjectId,
    webhooks::{EventFacts, is_privacy_deletion, records_to_read},
};
use hubspot::webhooks::{
    Delivery, Event, MAX_EVENTS, SIGNATURE_HEADER, SignatureError, TIMESTAMP_HEADER, events, verify,
};
use store::ToldRecord;

use crate::{api, problem::Refusal, state::App};

/// Where deliveries come in, below `PUBLIC_URL`.
pub(crate) const PATH: &str = "/webhooks/hubspot";

/// HubSpot sends an event for each property, often in several deliveries: they are one read.
const GATHER: Duration = Duration::from_millis(300);

/// Takes a delivery: its rows are on disk when the answer comes.
pub(crate) async fn take(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let secret = app
        .webhook_secret
        .as_ref()
        .ok_or(Refusal::AppMisconfigured("HUBSPOT_CLIENT_SECRET"))?;
    let body = api::read_whole(body).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let delivery = Delivery {
        method: "POST",
        public_url: &public_url(&app, query.as_deref()),
        body: &body,
        signature: header(SIGNATURE_HEADER),
        timestamp: header(TIMESTAMP_HEADER),
    };
    verify(&delivery, secret, Utc::now()).map_err(|error| {
        app.tally.webhooks_refused.add(1);
        // Of deliveries that are not HubSpot's there may be any number.
        tracing::debug!(error = %error, "a webhook is not believed");
        match error {
            SignatureError::Age => Refusal::WebhookTooOld,
            SignatureError::Missing | SignatureError::Timestamp | SignatureError::Signature => {
                Refusal::WebhookSignature
            }
        }
    })?;
    let events = events(&body).ok_or_else(|| {
        app.tally.webhooks_refused.add(1);
        Refusal::Malformed("the body is no array of events".to_owned())
    })?;
    if events.len() > MAX_EVENTS {
        app.tally.webhooks_refused.add(1);
        return Err(Refusal::Malformed(format!(
            "the body has more than {MAX_EVENTS} events"
        )));
    }
    let mut unreadable = 0_u64;
    let mut told: Vec<ToldRecord> = Vec::new();
    for event in &events {
        match event {
            Ok(event) => told.extend(told_by(event)),
            Err(_) => unreadable += 1,
        }
    }
    app.tally.webhook_events.add(events.len() as u64);
    app.tally.webhook_events_unreadable.add(unreadable);
    if unreadable > 0 {
        tracing::warn!(unreadable, "events of a webhook cannot be read");
    }
    if !told.is_empty() {
        let parts = app.parts()?;
        let stored = parts.store.note_told(&told, GATHER).await?;
        app.tally.webhook_records.add(stored.records);
        app.tally.webhook_portals_unknown.add(stored.unknown);
        if stored.unknown > 0 {
            tracing::debug!(
                portals = stored.unknown,
                "a webhook of portals that nobody has"
            );
        }
        for (workspace, portal) in stored.wake {
            let waking = app.clone();
            // The rows are there: HubSpot is answered whether Temporal is there or not.
            app.finish(async move {
                if let Ok(parts) = waking.parts() {
                    parts.wake_webhook_read(workspace, portal).await;
                }
            });
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The address as HubSpot knows it: the one that is configured, with the query that came.
fn public_url(app: &App, query: Option<&str>) -> String {
    let mut url = app.public_url.clone();
    url.set_path(PATH);
    url.set_query(None);
    match query {
        Some(query) => format!("{url}?{query}"),
        None => url.into(),
    }
}

/// The records to read because of an event; none for ids that the store cannot hold.
fn told_by(event: &Event) -> Vec<ToldRecord> {
    let id = |id: hubspot::RecordId| {
        i64::try_from(id.get())
            .ok()
            .and_then(|id| HubSpotObjectId::new(id).ok())
    };
    let portal = i64::try_from(event.portal_id.get())
        .ok()
        .and_then(|portal| domain::PortalId::new(portal).ok());
    let Some(portal) = portal else {
        return Vec::new();
    };
    let merged = [event.primary_object_id, event.new_object_id];
    let facts = EventFacts {
        subscription_type: &event.subscription_type,
        object_type_id: event.object_type_id.as_deref(),
        association_type: event.association_type.as_deref(),
        object: event.object_id.and_then(id),
        merged: merged
            .into_iter()
            .flatten()
            .chain(event.merged_object_ids.iter().copied())
            .filter_map(id)
            .collect(),
        from: event.from_object_id.and_then(id),
        to: event.to_object_id.and_then(id),
    };
    let privacy = is_privacy_deletion(&facts);
    let told = records_to_read(&facts).into_iter();
    told.map(|(object_type, id)| ToldRecord {
        portal,
        object_type,
        id,
        privacy,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_rows_of_its_portal() {
        let body = br#"[
            {"portalId":3,"occurredAt":1764000000000,"subscriptionType":"contact.merge","objectId":7,
             "primaryObjectId":5,"mergedObjectIds":[6],"newObjectId":7},
            {"portalId":3,"occurredAt":1764000000000,"subscriptionType":"contact.creation",
             "objectId":18446744073709551615},
            {"portalId":18446744073709551615,"occurredAt":1764000000000,
             "subscriptionType":"contact.creation","objectId":1}
        ]"#;
        let told: Vec<Vec<i64>> = events(body)
            .unwrap()
            .iter()
            .map(|e| told_by(e.as_ref().unwrap()))
            .map(|told| told.iter().map(|t| t.id.get()).collect())
            .collect();
        // Numbers that no store of ours can hold are nobody's.
        assert_eq!(told, [vec![5, 6, 7], vec![], vec![]]);
    }
}
