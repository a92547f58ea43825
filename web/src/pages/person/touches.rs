//! What others did with a person in HubSpot, where the workspace reads it (I10).

use domain::api::TouchAnswer;
use maud::{Markup, html};

use super::{SHOWN, journal::record_name};
use crate::pages::{
    head::Head,
    parts::{fold, when},
};

/// The newest ones.
pub(super) fn table(head: &Head, touches: &[TouchAnswer]) -> Markup {
    html! {
        @if touches.is_empty() {
            div .card { div { p .muted { "Nobody else was in touch with this person lately." } } }
        } @else {
            table .table {
                caption .sr { "Recent engagements" }
                thead { tr { th scope="col" { "What" } th scope="col" { "Said" } th scope="col" { "Owner" } th scope="col" { "When" } } }
                tbody { @for touch in touches {
                    tr {
                        th scope="row" {
                            (record_name(touch.kind))
                            span .sub { "Record " (touch.engagement) }
                        }
                        td data-l="Said" {
                            @if let Some(title) = &touch.title { bdi { (title) } }
                            @if touch.redacted { span .sub { "HubSpot does not tell what it says: the app may not read e-mails" } }
                            @if let Some(body) = &touch.body { (fold(false, "Text", &html! { p { bdi { (body) } } })) }
                        }
                        td data-l="Owner" {
                            @match (&touch.member, touch.owner) {
                                (Some(member), _) => { (member) }
                                (None, Some(owner)) => { "Owner " (owner) }
                                (None, None) => { span .muted { "—" } }
                            }
                        }
                        td data-l="When" { (when(touch.at, head.now)) }
                    }
                } }
            }
            @if touches.len() >= SHOWN as usize { p .hint { "The last " (SHOWN) " are shown." } }
        }
    }
}
