//! What the app did with a person, and how it stands on HubSpot’s timeline (E8).

use maud::{Markup, html};

use super::{Facts, SHOWN};
use crate::pages::{
    activities::kind_name,
    head::Head,
    parts::{Tone, icon, pill, when},
    people::outcome,
};

/// The last ones, with the engagement of each.
pub(super) fn table(head: &Head, facts: &Facts) -> Markup {
    html! {
        @if facts.activities.is_empty() {
            div .card { div { p .muted { "The app did nothing with this person yet." } } }
        } @else {
            table .table {
                caption .sr { "Activities" }
                thead { tr { th scope="col" { "What" } th scope="col" { "On the timeline" } th scope="col" { "Happened" } th scope="col" { "Changed" } } }
                tbody { @for row in &facts.activities {
                    @match row {
                        Err(_) => {
                            tr { th scope="row" { "An activity that cannot be read" } td data-l="On the timeline" { code { "HS-2217" } } td {} td {} }
                        }
                        Ok(row) => {
                            tr {
                                th scope="row" {
                                    (row.activity.kind.map_or("Activity", |kind| kind_name(kind).0))
                                    span .sub { code { (row.activity.id) } }
                                }
                                td data-l="On the timeline" {
                                    (outcome(&row.outcome))
                                    @if let Some(code) = &row.error_code { span .sub { code { (code) } } }
                                    @if let Some(id) = row.engagement { span .sub { "Record " (id) } }
                                }
                                td data-l="Happened" {
                                    @match &row.activity.happened {
                                        Some(happened) => { (when(happened.at, head.now)) }
                                        None => { (pill(Tone::Plain, icon::STOP, "Deleted in the app")) }
                                    }
                                }
                                td data-l="Changed" { (when(row.turned_at, head.now)) }
                            }
                        }
                    }
                } }
            }
            @if facts.activities.len() >= SHOWN as usize { p .hint { "The last " (SHOWN) " are shown." } }
        }
    }
}
