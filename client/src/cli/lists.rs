//! HubSpot's lists, who is on them (I6), and the deals of people and companies (I7).

use domain::{
    WorkspaceId,
    api::{DealAnswer, LabelledId, ListAnswer, ListMemberAnswer, ListOf},
    dnc::DealStatus,
    portal::ListId,
    settings::ListUse,
};

use super::{
    args::{DealsOf, Service},
    failure::Failure,
    show::list,
};

/// What a list is used for, as it is shown.
pub(crate) const fn use_name(list_use: ListUse) -> &'static str {
    match list_use {
        ListUse::Audience => "audience",
        ListUse::Suppression => "suppression",
    }
}

pub(crate) async fn all(
    service: &Service,
    workspace: WorkspaceId,
    json: bool,
) -> Result<(), Failure> {
    let lists = service.client.all_lists(workspace);
    let head = "list\tof\tkind\tstate\tuse\tsize\tname";
    list(service, lists, json, head, |l: &ListAnswer| {
        let of = match l.of {
            ListOf::Contacts => "contacts",
            ListOf::Companies => "companies",
            ListOf::Other => "other",
        };
        let state = match (l.gone_at, l.processing) {
            (Some(_), _) => "gone",
            (None, true) => "processing",
            (None, false) => "complete",
        };
        vec![
            l.list.to_string(),
            of.to_owned(),
            l.processing_type.to_lowercase(),
            state.to_owned(),
            l.list_use.map(use_name).unwrap_or_default().to_owned(),
            l.size.map(|size| size.to_string()).unwrap_or_default(),
            l.name.clone(),
        ]
    })
    .await
}

pub(crate) async fn members(
    service: &Service,
    workspace: WorkspaceId,
    of: ListId,
    json: bool,
) -> Result<(), Failure> {
    let members = service.client.all_members_of(workspace, of);
    let head = "member\tcontacts\tpeople";
    list(service, members, json, head, |m: &ListMemberAnswer| {
        let contacts: Vec<String> = m.contacts.iter().map(ToString::to_string).collect();
        let people: Vec<&str> = m.people.iter().map(|p| p.as_str()).collect();
        vec![m.member.to_string(), contacts.join(","), people.join(",")]
    })
    .await
}

pub(crate) async fn deals(
    service: &Service,
    workspace: WorkspaceId,
    of: DealsOf,
    json: bool,
) -> Result<(), Failure> {
    let head = "deal\tstatus\tpipeline\tstage\tamount\towner\tmember\tname";
    let named = |of: &Option<LabelledId>| {
        of.as_ref()
            .map(|l| l.label.clone().unwrap_or_else(|| l.id.clone()))
            .unwrap_or_default()
    };
    let cells = |d: &DealAnswer| {
        let status = match d.status {
            DealStatus::Open => "open",
            DealStatus::Won => "won",
            DealStatus::Lost => "lost",
        };
        vec![
            d.deal.to_string(),
            status.to_owned(),
            named(&d.pipeline),
            named(&d.stage),
            d.amount.clone().unwrap_or_default(),
            d.owner.map(|o| o.to_string()).unwrap_or_default(),
            d.member
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            d.name.clone().unwrap_or_default(),
        ]
    };
    match of {
        DealsOf::Person(person) => {
            let deals = service.client.all_deals_of_person(workspace, person);
            list(service, deals, json, head, cells).await
        }
        DealsOf::Company(company) => {
            let deals = service.client.all_deals_of_company(workspace, company);
            list(service, deals, json, head, cells).await
        }
    }
}
