//! Values that HubSpot works out by itself.

use crate::{
    answer::iso,
    model::{Data, Kind, Record},
};

/// The value of a property that is not stored.
pub(crate) fn value(
    data: &Data,
    kind: Kind,
    id: u64,
    record: &Record,
    name: &str,
) -> Option<String> {
    match (kind, name) {
        (_, "hs_merged_object_ids") => {
            let ids = data.merged.get(&(kind, id))?;
            let ids: Vec<String> = ids.iter().map(|(id, _)| id.to_string()).collect();
            Some(ids.join(";"))
        }
        (Kind::Contact, "hs_calculated_merged_vids") => {
            let ids = data.merged.get(&(kind, id))?;
            let ids: Vec<String> = ids.iter().map(|(id, at)| format!("{id}:{at}")).collect();
            Some(ids.join(";"))
        }
        (Kind::Contact, "hs_all_contact_vids") => {
            let mut ids = vec![id.to_string()];
            let merged = data.merged.get(&(kind, id)).into_iter().flatten();
            ids.extend(merged.map(|(id, _)| id.to_string()));
            Some(ids.join(";"))
        }
        (Kind::Contact, "hs_email_domain") => data
            .stored(record, "email")?
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_owned()),
        (Kind::Contact, "hs_full_name_or_email") => {
            let names: Vec<&str> = ["firstname", "lastname"]
                .iter()
                .filter_map(|n| data.stored(record, n))
                .collect();
            if names.is_empty() {
                data.stored(record, "email").map(str::to_owned)
            } else {
                Some(names.join(" "))
            }
        }
        (Kind::Contact, "hs_is_contact" | "hs_is_unworked") => Some("true".to_owned()),
        (Kind::Contact, "hs_pipeline") => Some("contacts-lifecycle-pipeline".to_owned()),
        (
            Kind::Contact,
            "hs_associated_target_accounts"
            | "hs_membership_has_accessed_private_content"
            | "hs_prospecting_agent_actively_enrolled_count"
            | "hs_prospecting_agent_total_enrolled_count"
            | "hs_registered_member"
            | "hs_sequences_actively_enrolled_count",
        ) => Some("0".to_owned()),
        (Kind::Contact, "hs_currently_enrolled_in_prospecting_agent") => Some("false".to_owned()),
        (Kind::Contact, "hs_lifecyclestage_lead_date") => {
            (data.stored(record, "lifecyclestage") == Some("lead")).then(|| iso(record.created))
        }
        (Kind::Contact, "associatedcompanyid") => data
            .links
            .get(&(kind, id))?
            .range((Kind::Company, 0)..=(Kind::Company, u64::MAX))
            .find(|(_, types)| types.contains(&1))
            .map(|((_, company), _)| company.to_string()),
        (Kind::Contact | Kind::Company | Kind::Deal | Kind::Ticket, "num_notes") => {
            Some(activities(data, kind, id).count().to_string())
        }
        (
            Kind::Contact | Kind::Company | Kind::Deal | Kind::Ticket,
            "notes_last_updated" | "notes_last_contacted",
        ) => last_activity(data, kind, id, name),
        (Kind::Company, "num_associated_contacts") => Some(count(data, kind, id, Kind::Contact)),
        (Kind::Company, "num_associated_deals") | (Kind::Contact, "num_associated_deals") => {
            Some(count(data, kind, id, Kind::Deal))
        }
        (Kind::Deal, "num_associated_contacts") => Some(count(data, kind, id, Kind::Contact)),
        (Kind::Deal, "hs_is_closed") => Some(deal_stage(data, record).is_closed().to_string()),
        (Kind::Deal, "hs_is_closed_won") => {
            Some((deal_stage(data, record) == Closed::Won).to_string())
        }
        (_, "hs_object_source" | "hs_object_source_label") => Some("CRM_UI".to_owned()),
        (_, "hs_body_preview") if kind.is_engagement() => {
            let body = match kind {
                Kind::Email => data
                    .stored(record, "hs_email_html")
                    .or_else(|| data.stored(record, "hs_email_text")),
                Kind::Call => data.stored(record, "hs_call_body"),
                Kind::Meeting => data.stored(record, "hs_meeting_body"),
                Kind::Note => data.stored(record, "hs_note_body"),
                Kind::Task => data.stored(record, "hs_task_body"),
                _ => data.stored(record, "hs_communication_body"),
            };
            Some(plain(body?))
        }
        _ => None,
    }
}

#[derive(PartialEq)]
enum Closed {
    No,
    Won,
    Lost,
}

impl Closed {
    const fn is_closed(&self) -> bool {
        !matches!(self, Self::No)
    }
}

fn deal_stage(data: &Data, record: &Record) -> Closed {
    let stage = data.stored(record, "dealstage").unwrap_or_default();
    let found = data.pipelines[Kind::Deal as usize]
        .iter()
        .flat_map(|p| &p.stages)
        .find(|s| s.id == stage);
    match found.map(|s| s.metadata) {
        Some("1.0") => Closed::Won,
        Some("0.0") => Closed::Lost,
        _ => Closed::No,
    }
}

fn activities(data: &Data, kind: Kind, id: u64) -> impl Iterator<Item = (Kind, u64)> + '_ {
    data.links
        .get(&(kind, id))
        .into_iter()
        .flat_map(|links| links.range((Kind::Email, 0)..))
        .map(|(to, _)| *to)
        .filter(|(k, other)| data.is_live(*k, *other))
}

fn last_activity(data: &Data, kind: Kind, id: u64, name: &str) -> Option<String> {
    activities(data, kind, id)
        .filter(|(k, _)| *k != Kind::Task && (name != "notes_last_contacted" || *k != Kind::Note))
        .filter_map(|(k, other)| {
            let record = data.record(k, other)?;
            chrono::DateTime::parse_from_rfc3339(data.stored(record, "hs_timestamp")?).ok()
        })
        .map(|t| t.timestamp_millis())
        .max()
        .map(iso)
}

fn count(data: &Data, kind: Kind, id: u64, to: Kind) -> String {
    data.links
        .get(&(kind, id))
        .map_or(0, |links| {
            links
                .range((to, 0)..=(to, u64::MAX))
                .filter(|((k, other), _)| data.is_live(*k, *other))
                .count()
        })
        .to_string()
}

/// Text without markup, its first 300 characters.
fn plain(html: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out.trim().chars().take(300).collect()
}
