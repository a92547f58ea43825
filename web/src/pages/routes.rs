//! All settings pages and forms, and who may use each. What is not here cannot be reached: the guard
//! looks here. The tests of tenancy and roles read this file too, so it needs nothing else.

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, without a session.
    Anyone,
    /// Whoever has a session of the workspace.
    Member,
    /// Whoever has one as an admin.
    Admin,
}

/// A page (`GET`) or a form (`POST`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) who: Who,
}

/// Before a session: the token of the main app is given here.
pub(crate) const ENTER: &str = "/settings/hubspot/enter";
pub(crate) const OVERVIEW: &str = "/settings/hubspot";
/// What the overview says as it goes on.
pub(crate) const LIVE: &str = "/settings/hubspot/live";
pub(crate) const THEME: &str = "/settings/hubspot/theme";
pub(crate) const SET_UP_AWAY: &str = "/settings/hubspot/set-up/put-away";
pub(crate) const CONNECT: &str = "/settings/hubspot/connect";
pub(crate) const SYNC_NOW: &str = "/settings/hubspot/sync-now";
pub(crate) const RESYNC: &str = "/settings/hubspot/resync";
pub(crate) const DISCONNECT: &str = "/settings/hubspot/disconnect";
pub(crate) const BASIC_SYNC: &str = "/settings/hubspot/basic-sync";
pub(crate) const MAPPING_CONTACTS: &str = "/settings/hubspot/mapping/contacts";
pub(crate) const MAPPING_COMPANIES: &str = "/settings/hubspot/mapping/companies";
pub(crate) const MAPPING_ACTIVITY: &str = "/settings/hubspot/mapping/activity";
pub(crate) const OWN_PROPERTIES: &str = "/settings/hubspot/mapping/own-properties";
pub(crate) const PROPERTIES: &str = "/settings/hubspot/properties/{of}";
pub(crate) const ACTIVITIES: &str = "/settings/hubspot/activities";
pub(crate) const OWNERS: &str = "/settings/hubspot/owners";
pub(crate) const STATUSES: &str = "/settings/hubspot/statuses";
pub(crate) const LISTS: &str = "/settings/hubspot/lists";
pub(crate) const DNC: &str = "/settings/hubspot/do-not-contact";
pub(crate) const DNC_ASK: &str = "/settings/hubspot/do-not-contact/ask";
pub(crate) const DNC_STOPPED: &str = "/settings/hubspot/do-not-contact/stopped/{rule}";
pub(crate) const PEOPLE: &str = "/settings/hubspot/people";
pub(crate) const PERSON: &str = "/settings/hubspot/people/{person}";
pub(crate) const PERSON_LIVE: &str = "/settings/hubspot/people/{person}/live";
pub(crate) const PERSON_PREVIEW: &str = "/settings/hubspot/people/{person}/preview";
pub(crate) const PERSON_EXPORT: &str = "/settings/hubspot/people/{person}/export";
pub(crate) const PERSON_REVERT: &str = "/settings/hubspot/people/{person}/revert";
pub(crate) const PROBLEMS: &str = "/settings/hubspot/problems";
pub(crate) const PROBLEMS_CSV: &str = "/settings/hubspot/problems.csv";
pub(crate) const PROBLEMS_RETRY: &str = "/settings/hubspot/problems/retry";
pub(crate) const PROBLEMS_RETRY_ALL: &str = "/settings/hubspot/problems/retry-all";
pub(crate) const HISTORY: &str = "/settings/hubspot/history";

pub(crate) const BULK: &str = "/settings/hubspot/bulk-export";
pub(crate) const BULK_RUN: &str = "/settings/hubspot/bulk-export/{bulk}";
/// What the page of one says as it goes on.
pub(crate) const BULK_LIVE: &str = "/settings/hubspot/bulk-export/{bulk}/live";
pub(crate) const BULK_CONFIRM: &str = "/settings/hubspot/bulk-export/{bulk}/confirm";
pub(crate) const BULK_STOP: &str = "/settings/hubspot/bulk-export/{bulk}/stop";

const fn get(path: &'static str, who: Who) -> Route {
    Route {
        method: "GET",
        path,
        who,
    }
}

const fn post(path: &'static str, who: Who) -> Route {
    Route {
        method: "POST",
        path,
        who,
    }
}

/// All of them.
pub(crate) const ROUTES: &[Route] = &[
    get(ENTER, Who::Anyone),
    post(ENTER, Who::Anyone),
    get(OVERVIEW, Who::Member),
    get(LIVE, Who::Member),
    post(THEME, Who::Member),
    post(SET_UP_AWAY, Who::Admin),
    post(CONNECT, Who::Admin),
    post(SYNC_NOW, Who::Admin),
    get(RESYNC, Who::Admin),
    post(RESYNC, Who::Admin),
    get(DISCONNECT, Who::Admin),
    post(DISCONNECT, Who::Admin),
    get(BASIC_SYNC, Who::Member),
    post(BASIC_SYNC, Who::Admin),
    get(MAPPING_CONTACTS, Who::Member),
    post(MAPPING_CONTACTS, Who::Admin),
    get(MAPPING_COMPANIES, Who::Member),
    post(MAPPING_COMPANIES, Who::Admin),
    get(MAPPING_ACTIVITY, Who::Member),
    post(MAPPING_ACTIVITY, Who::Admin),
    post(OWN_PROPERTIES, Who::Admin),
    get(PROPERTIES, Who::Member),
    get(ACTIVITIES, Who::Member),
    post(ACTIVITIES, Who::Admin),
    get(OWNERS, Who::Member),
    post(OWNERS, Who::Admin),
    get(STATUSES, Who::Member),
    post(STATUSES, Who::Admin),
    get(LISTS, Who::Member),
    post(LISTS, Who::Admin),
    get(DNC, Who::Member),
    post(DNC, Who::Admin),
    // Looking somebody up changes nothing; an e-mail must not stand in an address.
    get(DNC_ASK, Who::Member),
    post(DNC_ASK, Who::Member),
    get(DNC_STOPPED, Who::Member),
    get(PEOPLE, Who::Member),
    post(PEOPLE, Who::Member),
    get(PERSON, Who::Member),
    get(PERSON_LIVE, Who::Member),
    // Answered directly; whoever loads the answer again comes to the page.
    get(PERSON_PREVIEW, Who::Member),
    post(PERSON_PREVIEW, Who::Member),
    post(PERSON_EXPORT, Who::Admin),
    post(PERSON_REVERT, Who::Admin),
    get(PROBLEMS, Who::Member),
    get(PROBLEMS_CSV, Who::Member),
    post(PROBLEMS_RETRY, Who::Admin),
    post(PROBLEMS_RETRY_ALL, Who::Admin),
    get(HISTORY, Who::Member),
    get(BULK, Who::Member),
    post(BULK, Who::Admin),
    get(BULK_RUN, Who::Member),
    get(BULK_LIVE, Who::Member),
    post(BULK_CONFIRM, Who::Admin),
    post(BULK_STOP, Who::Admin),
];
