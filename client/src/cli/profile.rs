//! Profiles (I5).

use domain::{
    WorkspaceId,
    api::ProfileAnswer,
    app::{AppCompanyId, FieldValue, PersonId},
    profile::ValueSource,
};

use super::{
    args::Service,
    failure::Failure,
    output::clean,
    show::{Answer, show as show_answer},
};

/// Shows the profile of one person or company. The command line takes exactly one of the two.
pub(crate) async fn show(
    service: &Service,
    workspace: WorkspaceId,
    person: Option<PersonId>,
    company: Option<AppCompanyId>,
    json: bool,
) -> Result<(), Failure> {
    let client = &service.client;
    let profile = match (person, company) {
        (Some(person), _) => client.person_profile(workspace, &person).await,
        (None, Some(company)) => client.company_profile(workspace, &company).await,
        (None, None) => return Err(Failure::NotDone("give --person or --company".to_owned())),
    };
    show_answer(&profile.map_err(|error| Failure::of(service, error))?, json)
}

impl Answer for ProfileAnswer {
    fn text(&self) -> String {
        let mut lines = vec![format!("{} {}", self.record, clean(&self.id))];
        lines.push(match &self.link {
            None => "not linked to HubSpot".to_owned(),
            Some(link) => {
                let archived = if link.archived { ", archived" } else { "" };
                format!(
                    "HubSpot {} of portal {} ({}{archived})",
                    link.hubspot_id, link.portal, link.origin
                )
            }
        });
        if let Some(link) = &self.link
            && !link.shared_with.is_empty()
        {
            let whose = if link.owns_values {
                "its values are this one's"
            } else {
                "its values are another one's"
            };
            let others = clean(&link.shared_with.join(", "));
            lines.push(format!("shared with {others}; {whose}"));
        }
        if !self.conflicts.is_empty() {
            let others: Vec<String> = self.conflicts.iter().map(ToString::to_string).collect();
            lines.push(format!("claimed by {} in HubSpot too", others.join(", ")));
        }
        if let Some(owner) = &self.hubspot_owner {
            let member = owner.member.as_ref().map(ToString::to_string);
            lines.push(match (member, owner.routed) {
                (Some(member), false) => format!("owner {}: {}", owner.owner, clean(&member)),
                (Some(member), true) => {
                    format!("owner {}, routed to {}", owner.owner, clean(&member))
                }
                (None, _) => format!("owner {}: nobody", owner.owner),
            });
        }
        lines.push("field\twins\tapp\tHubSpot\tproperty".to_owned());
        for (key, field) in &self.fields {
            let wins = match field.of.source {
                Some(ValueSource::App) => "app",
                Some(ValueSource::Hubspot) => "HubSpot",
                None => "-",
            };
            let hubspot = if field.of.unreadable {
                "(unreadable)".to_owned()
            } else {
                value_text(field.of.hubspot.as_ref())
            };
            lines.push(format!(
                "{}\t{wins}\t{}\t{hubspot}\t{}",
                key.as_str(),
                value_text(field.of.app.as_ref()),
                clean(field.of.property.as_deref().unwrap_or("-"))
            ));
        }
        lines.join("\n")
    }
}

fn value_text(value: Option<&FieldValue>) -> String {
    match value {
        None => "-".to_owned(),
        Some(FieldValue::Text(text)) => clean(text),
        Some(FieldValue::Number(number)) => number.to_string(),
        Some(FieldValue::Boolean(yes)) => yes.to_string(),
        Some(FieldValue::List(all)) => clean(&all.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_says_who_wins_and_why_not() {
        let profile: ProfileAnswer = serde_json::from_value(serde_json::json!({
            "record": "person", "id": "p1",
            "link": {"portal": 1, "hubspot_id": 7, "origin": "additional", "archived": false,
                "shared_with": ["p2"], "owns_values": false},
            "conflicts": [9],
            "hubspot_owner": {"owner": 5, "member": "ann", "routed": true},
            "fields": {
                "job_title": {"value": "Boss", "app": "Head", "hubspot": "Boss", "source": "hubspot",
                    "property": "jobtitle", "unreadable": false},
                "custom.n": {"value": 3, "app": 3, "hubspot": null, "source": "app",
                    "property": "n", "unreadable": true},
            },
        }))
        .unwrap();
        let text = profile.text();
        for line in [
            "person p1",
            "HubSpot 7 of portal 1 (additional)",
            "shared with p2; its values are another one's",
            "claimed by 9 in HubSpot too",
            "owner 5, routed to ann",
            "job_title\tHubSpot\tHead\tBoss\tjobtitle",
            "custom.n\tapp\t3\t(unreadable)\tn",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }
}
