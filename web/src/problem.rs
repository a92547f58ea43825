//! How `/api/v1` says no: RFC 9457, with a code of `docs/errors.md`.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    api::{Problem, SettingsConflict, SettingsRefused},
    export::{BulkState, revert::NoRevert},
    settings::{SettingsChange, SettingsProblem, SettingsRevision, Severity},
};

/// Everything that can be refused here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownWorkspace,
    AlreadyConnected,
    NotConnected,
    HubSpotUnavailable,
    AppMisconfigured(&'static str),
    AccessTokenRefused,
    Disconnecting,
    ResyncNotConnected,
    Malformed(String),
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    /// With the bytes that a body may have here.
    TooLarge(usize),
    InstallationOnly,
    CallUnderWay,
    KeyOfOtherCall,
    /// With the kind of record.
    UnknownRecord(&'static str),
    /// With the name of the field that has too many.
    TooMany(&'static str),
    StillConnected,
    NeedsReconnect,
    ScopeMissing,
    /// Why a value is not brought back.
    NoRevert(NoRevert),
    NothingHeld,
    /// With the state in which there is nothing to confirm.
    NotToConfirm(BulkState),
    SettingsRefused(Vec<SettingsProblem>),
    SettingsChanged {
        revision: SettingsRevision,
        changes: Vec<SettingsChange>,
    },
    SettingsNotReadable(String),
    /// With the kind of record.
    StoredNotReadable(&'static str),
    /// With the revision in force.
    StoredSettingsNotReadable(SettingsRevision),
    Store(&'static str),
    NotReady,
    ConsentExpired,
    ConsentRefused,
    /// Too many requests, or bytes of bodies, at once.
    Busy,
    BodyTooSlow,
    /// A cursor of the feed of changes.
    CursorOver(CursorOver),
    TooManyFollowers,
    WebhookSignature,
    WebhookTooOld,
    Defect,
}

/// Why a cursor of the feed of changes is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CursorOver {
    OtherDatabase,
    OtherPortal,
    TooOld,
}

impl CursorOver {
    const fn why(self) -> &'static str {
        match self {
            Self::OtherDatabase => {
                "it is of another database, or of a state of this one that was lost in a restore"
            }
            Self::OtherPortal => "the workspace is connected to another portal since",
            Self::TooOld => "what was erased since then is no longer told",
        }
    }
}

impl Refusal {
    pub(crate) fn problem(&self) -> Problem {
        let (status, code, title, detail) = match self {
            Self::UnknownWorkspace => (
                404, "HS-1001", "Unknown workspace",
                "No workspace of this id is known here. Check the id and the token, connect it, or make a service token for it.".to_owned(),
            ),
            Self::AlreadyConnected => (
                409, "HS-1002", "Already connected",
                "This workspace has a HubSpot connection. Disconnect it first to connect another portal.".to_owned(),
            ),
            Self::NotConnected => (
                409, "HS-1003", "Not connected",
                "This workspace has no HubSpot connection; nothing was changed.".to_owned(),
            ),
            Self::HubSpotUnavailable => (
                502, "HS-1009", "HubSpot did not answer",
                "HubSpot could not be asked just now; nothing was changed. Try again in a minute.".to_owned(),
            ),
            Self::AppMisconfigured(what) => (
                500, "HS-1010", "The HubSpot app is not configured",
                format!("{what} is missing or wrong on this server."),
            ),
            Self::AccessTokenRefused => (
                422, "HS-1011", "Access token refused",
                "access_token: HubSpot does not accept this service key. Copy it again from HubSpot.".to_owned(),
            ),
            Self::Disconnecting => (
                409, "HS-1012", "Disconnect under way",
                "The last connection is still being taken down. Try again in a few seconds.".to_owned(),
            ),
            Self::ResyncNotConnected => (
                409, "HS-2001", "Nothing to resync",
                "This workspace is not connected to HubSpot; nothing was changed. Connect it first.".to_owned(),
            ),
            Self::Malformed(what) => (422, "HS-4001", "Malformed request", what.clone()),
            Self::Unauthorized => (
                401, "HS-4002", "Missing or wrong token",
                "Send the header Authorization: Bearer with a service token of the workspace, or with API_TOKEN.".to_owned(),
            ),
            Self::NotFound => (404, "HS-4003", "Not found", "There is nothing at this address.".to_owned()),
            Self::MethodNotAllowed => (
                405, "HS-4004", "Method not allowed",
                "This address takes another method.".to_owned(),
            ),
            Self::TooLarge(most) => (
                413, "HS-4005", "Body too large",
                format!("The body may have {} MB at most here. Send less at once.", most / (1024 * 1024)),
            ),
            Self::InstallationOnly => (
                403, "HS-4006", "Not with this token",
                "This call needs API_TOKEN, the token of the whole installation; a workspace's token does not do it.".to_owned(),
            ),
            Self::CallUnderWay => (
                409, "HS-4007", "The same call is under way",
                "A call with this Idempotency-Key has not been answered yet. Wait a moment, then send it again with the same key.".to_owned(),
            ),
            Self::KeyOfOtherCall => (
                422, "HS-4008", "Key of another call",
                "This Idempotency-Key was sent with another address or body within 24 hours. Use a new key for a new call.".to_owned(),
            ),
            Self::UnknownRecord(what) => (
                404, "HS-4009", "No such record",
                format!("This workspace has no {what} of this id. Check the id."),
            ),
            Self::TooMany(field) => (
                422, "HS-4010", "Too many items",
                format!("{field}: at most {} in one call. Send the rest in further calls.", domain::api::MAX_ITEMS),
            ),
            Self::SettingsRefused(problems) => (
                422, "HS-2190", "Settings refused",
                format!(
                    "{} of the problems found are errors; nothing was saved. Mend the rows that problems names.",
                    problems.iter().filter(|p| p.severity == Severity::Error).count()
                ),
            ),
            Self::SettingsChanged { revision, .. } => (
                409, "HS-2191", "Settings changed meanwhile",
                format!("Somebody saved revision {revision} since; nothing was saved. Look at changes, put yours on top, and send them with that revision."),
            ),
            Self::SettingsNotReadable(what) => (422, "HS-2192", "Settings not readable", what.clone()),
            Self::StoredNotReadable(what) => (
                500, "HS-2217", "Stored record not readable",
                format!("What is stored of this {what} cannot be read; the others can. Who runs the service has to mend it."),
            ),
            Self::StoredSettingsNotReadable(revision) => (
                500, "HS-2217", "Stored settings not readable",
                format!("Revision {revision} of the settings cannot be read. Put a whole document with expected_revision {revision}."),
            ),
            Self::StillConnected => (
                409, "HS-4011", "Still connected",
                "Only a disconnected workspace can be purged; nothing was removed. Disconnect it, and wait until its state is disconnected.".to_owned(),
            ),
            Self::NeedsReconnect => (
                409, "HS-3003", "Connection revoked in HubSpot",
                "HubSpot refuses the workspace's tokens; nothing was changed. Connect it again.".to_owned(),
            ),
            Self::ScopeMissing => (
                409, "HS-3004", "Scope missing",
                "HubSpot refuses this for want of a scope; nothing was changed. Connect again and grant what is asked for.".to_owned(),
            ),
            Self::NoRevert(why) => (
                409, why.code(), "Cannot be reverted",
                format!("property: {why}; nothing was changed."),
            ),
            Self::NothingHeld => (
                409, "HS-2428", "Not paused",
                "property: the journal has nothing that holds a row of this property up for this person; nothing was changed. A preview says why a property is not written.".to_owned(),
            ),
            Self::NotToConfirm(state) => (
                409, "HS-2451", "Nothing to confirm",
                format!("The bulk export is {state}; nothing was changed. It can be confirmed once its state is waiting_for_confirmation."),
            ),
            Self::Store(code) => (
                503, *code, "The database did not do it",
                "Nothing was changed, or the change can be sent again. Try again in a moment.".to_owned(),
            ),
            Self::NotReady => (
                503, "HS-5007", "Not ready",
                "The server is still connecting to its database and to Temporal.".to_owned(),
            ),
            Self::ConsentExpired => (
                409, "HS-1013", "Nobody confirmed in time",
                "The consent waited ten minutes to be confirmed; nothing was connected. Connect again.".to_owned(),
            ),
            Self::ConsentRefused => (
                409, "HS-1014", "Consent refused before",
                "It was decided not to connect; nothing was connected. Connect again.".to_owned(),
            ),
            Self::Busy => (
                503, "HS-4012", "Too much at once",
                "The server has as many requests, or as much data in them, as it takes at once; nothing was changed. Send it again in a moment.".to_owned(),
            ),
            Self::BodyTooSlow => (
                408, "HS-4013", "Body too slow",
                "The body did not come in time; nothing was changed. Send it again, faster or in smaller parts.".to_owned(),
            ),
            Self::CursorOver(why) => (
                410, "HS-4021", "Cursor no longer good",
                format!("The cursor cannot be gone on from: {}. Begin anew without after, and look at everything.", why.why()),
            ),
            Self::TooManyFollowers => (
                429, "HS-4022", "Too many wait for changes",
                "As many calls wait for changes of this workspace as may. Let one program follow, or ask with wait=0.".to_owned(),
            ),
            Self::WebhookSignature => (
                401, "HS-4031", "Webhook not signed by HubSpot",
                "The signature does not fit the body, PUBLIC_URL and the client secret of the app; nothing was stored.".to_owned(),
            ),
            Self::WebhookTooOld => (
                401, "HS-4032", "Webhook too old",
                "It was signed more than five minutes from now by this server's clock; nothing was stored.".to_owned(),
            ),
            Self::Defect => (
                500, "HS-5099", "Defect",
                "The server failed at this request. Whether it was done can be asked; sent again with its Idempotency-Key it is not done twice.".to_owned(),
            ),
        };
        Problem {
            kind: format!("/docs/errors#{}", code.to_lowercase()),
            title: title.to_owned(),
            status,
            detail,
            code: code.to_owned(),
        }
    }
}

impl From<store::StoreError> for Refusal {
    fn from(error: store::StoreError) -> Self {
        tracing::warn!(code = error.code(), error = %error, "the store failed");
        match error {
            store::StoreError::Unreadable(what) => Self::StoredNotReadable(what),
            other => Self::Store(other.code()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = match self {
            Self::SettingsRefused(problems) => {
                serde_json::to_string(&SettingsRefused { problem, problems })
            }
            Self::SettingsChanged { revision, changes } => {
                serde_json::to_string(&SettingsConflict {
                    problem,
                    revision,
                    changes,
                })
            }
            _ => serde_json::to_string(&problem),
        };
        // Who came at a bad moment is told when to come again.
        let again = matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        )
        .then_some([(header::RETRY_AFTER, "1")]);
        (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            again,
            body.unwrap_or_default(),
        )
            .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_paragraph() {
        let errors = include_str!("../../docs/errors.md");
        for refusal in [
            Refusal::UnknownWorkspace,
            Refusal::AlreadyConnected,
            Refusal::NotConnected,
            Refusal::HubSpotUnavailable,
            Refusal::AppMisconfigured("X"),
            Refusal::AccessTokenRefused,
            Refusal::Disconnecting,
            Refusal::ResyncNotConnected,
            Refusal::Malformed(String::new()),
            Refusal::Unauthorized,
            Refusal::NotFound,
            Refusal::MethodNotAllowed,
            Refusal::TooLarge(1),
            Refusal::InstallationOnly,
            Refusal::CallUnderWay,
            Refusal::KeyOfOtherCall,
            Refusal::UnknownRecord("person"),
            Refusal::TooMany("items"),
            Refusal::StillConnected,
            Refusal::NeedsReconnect,
            Refusal::ScopeMissing,
            Refusal::NoRevert(NoRevert::NotWritten),
            Refusal::NoRevert(NoRevert::NotDone),
            Refusal::NoRevert(NoRevert::ValuesGone),
            Refusal::NothingHeld,
            Refusal::NotToConfirm(BulkState::Previewing),
            Refusal::SettingsRefused(Vec::new()),
            Refusal::SettingsChanged {
                revision: SettingsRevision::NONE,
                changes: Vec::new(),
            },
            Refusal::SettingsNotReadable(String::new()),
            Refusal::StoredNotReadable("person"),
            Refusal::StoredSettingsNotReadable(SettingsRevision::NONE),
            Refusal::Store("HS-5001"),
            Refusal::NotReady,
            Refusal::ConsentExpired,
            Refusal::ConsentRefused,
            Refusal::Busy,
            Refusal::BodyTooSlow,
            Refusal::CursorOver(CursorOver::TooOld),
            Refusal::TooManyFollowers,
            Refusal::WebhookSignature,
            Refusal::WebhookTooOld,
            Refusal::Defect,
        ] {
            let code = refusal.problem().code;
            assert!(
                errors.contains(&format!("## {code}")),
                "{code} is not in docs/errors.md"
            );
        }
    }
}
