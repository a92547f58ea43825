//! What a workspace sees that was never connected.

use domain::scopes;
use maud::{Markup, html};

use crate::pages::{
    frame::connect_button,
    guard::Visit,
    parts::{Tone, icon, notice, section, wide_heading},
};

/// What HubSpot asks to allow, with its reason, and the scopes that stand for it.
const ACCESS: &[(&str, &str, &[&str])] = &[
    (
        "Contacts, read",
        "Import contacts and the properties they have",
        &[
            "oauth",
            "crm.objects.contacts.read",
            "crm.schemas.contacts.read",
        ],
    ),
    (
        "Contacts, write",
        "Export people",
        &["crm.objects.contacts.write"],
    ),
    (
        "Companies, read",
        "Import companies; a customer or an open deal at a company decides who may be contacted",
        &["crm.objects.companies.read", "crm.schemas.companies.read"],
    ),
    (
        "Companies, write",
        "Link exported people to their company",
        &["crm.objects.companies.write"],
    ),
    (
        "Deals, read",
        "Open, won and lost deals decide who may be contacted",
        &["crm.objects.deals.read", "crm.schemas.deals.read"],
    ),
    (
        "Owners, read",
        "Match HubSpot owners with team members",
        &["crm.objects.owners.read"],
    ),
    (
        "Lists, read",
        "Use lists as audience or suppression list",
        &["crm.lists.read"],
    ),
    (
        "E-mail activity, read",
        "See a reply or meeting that another rep had",
        &["sales-email-read"],
    ),
    (
        "Properties, write",
        "Properties of our own: a key, so that nothing is written twice",
        &["crm.schemas.contacts.write", "crm.schemas.companies.write"],
    ),
];

/// What connecting brings, what it asks for, and who may approve.
pub(super) fn content(visit: &Visit, can_connect: bool) -> Markup {
    let connect = match (can_connect, visit.may_change()) {
        (true, true) => connect_button(visit, "Connect HubSpot"),
        _ => Markup::default(),
    };
    let brings = html! {
        ul .card {
            li { h3 { "Import" } p .muted { "Contacts, companies, deals, lists and owners come in and stay fresh, every few minutes." } }
            li { h3 { "Export" } p .muted { "People you are in touch with go to HubSpot by rules that you set. Existing values are kept unless you say otherwise." } }
            li { h3 { "Do not contact" } p .muted { "Customers, open deals and suppression lists in HubSpot stop outreach in the app." } }
        }
    };
    let asked = html! {
        table .table {
            caption .sr { "Access and its reasons" }
            thead { tr { th scope="col" { "Access" } th scope="col" { "Why we need it" } th scope="col" { "Needed" } } }
            tbody {
                @for (access, why, of) in ACCESS {
                    tr {
                        th scope="row" { (access) }
                        td data-l="Why we need it" { (why) }
                        td data-l="Needed" {
                            @if of.iter().any(|scope| scopes::REQUIRED.contains(scope)) { "Yes" } @else { "Optional" }
                        }
                    }
                }
            }
        }
    };
    let who = html! {
        div .card {
            div { p { "A HubSpot " b { "Super Admin" } ", or a user with the permission " b { "App Marketplace access" } ". Your HubSpot password never reaches us." } }
        }
    };
    html! {
        (wide_heading("Connect HubSpot", "One connection serves the whole workspace. Nothing is written to HubSpot before you have saved the export settings once.", &connect))
        @if !can_connect {
            (notice(Tone::Warn, icon::WARN, &html! { p { "This installation has no HubSpot app, so nobody can connect here. Please tell support the code " code { "HS-1010" } "." } }, None))
        }
        (section("brings", "What it brings", "", &brings))
        (section("scopes", "What HubSpot will ask you to allow", "You can leave out what is optional; only what needs it is then switched off.", &asked))
        (section("who", "Who may approve", "", &who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_has_its_reason_once() {
        for scope in scopes::REQUIRED.iter().chain(scopes::OPTIONAL) {
            let rows = ACCESS.iter().filter(|(.., of)| of.contains(scope));
            assert_eq!(rows.count(), 1, "{scope}");
        }
        let named: usize = ACCESS.iter().map(|(.., of)| of.len()).sum();
        assert_eq!(named, scopes::REQUIRED.len() + scopes::OPTIONAL.len());
    }
}
