//! Who calls: the installation, with `API_TOKEN`, or one workspace, with a token of its own (X8).

use axum::{
    RequestExt as _,
    extract::{RawPathParams, Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use domain::WorkspaceId;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::{problem::Refusal, seal::digest, state::App};

/// What a token of a workspace begins with, so that a leaked one is recognised.
pub(crate) const PREFIX: &str = "hst_";

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// May do everything.
    Installation,
    /// May do what concerns this workspace; the others do not exist for it.
    Workspace(WorkspaceId),
}

/// A token, from 256 random bits.
pub(crate) fn token_of(random: [u8; 32]) -> SecretString {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)).into()
}

/// Whether it can be a token of ours: what cannot is refused without asking anybody.
fn well_formed(given: &str) -> bool {
    given
        .strip_prefix(PREFIX)
        .is_some_and(|rest| URL_SAFE_NO_PAD.decode(rest).is_ok_and(|b| b.len() == 32))
}

async fn caller_of(app: &App, given: &str) -> Result<Caller, Refusal> {
    let installation = given
        .as_bytes()
        .ct_eq(app.api_token.expose_secret().as_bytes());
    if bool::from(installation) {
        return Ok(Caller::Installation);
    }
    if !well_formed(given) {
        return Err(Refusal::Unauthorized);
    }
    let workspace = app
        .parts()?
        .store
        .workspace_of_token(digest(given), Utc::now())
        .await?;
    workspace
        .map(Caller::Workspace)
        .ok_or(Refusal::Unauthorized)
}

/// Lets through who may. The workspace of the path is checked here, once for all calls: another
/// one than the token's answers like one that does not exist.
pub(crate) async fn authorize(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .unwrap_or_default();
    let caller = caller_of(&app, given).await?;
    if let Caller::Workspace(own) = caller
        && let Ok(params) = request.extract_parts::<RawPathParams>().await
        && let Some((_, text)) = params.iter().find(|(name, _)| *name == "workspace")
        && text.parse::<WorkspaceId>().is_ok_and(|asked| asked != own)
    {
        return Err(Refusal::UnknownWorkspace);
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_token_is_looked_up() {
        let token = token_of([7; 32]);
        let token = token.expose_secret();
        assert!(well_formed(token));
        for bad in [
            "",
            "nonsense",
            "hst_",
            "hst_0123456789",
            &token[..token.len() - 1],
            &format!("{token}A"),
            &token.replace("hst_", "hst-"),
            &format!("{}\u{e9}", &token[..token.len() - 2]),
        ] {
            assert!(!well_formed(bad), "{bad}");
        }
    }
}
