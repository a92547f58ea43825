//! Service tokens of a workspace (X8).

use chrono::{DateTime, Utc};
use domain::{
    WorkspaceId,
    api::{TokenCreate, TokenId},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    args::Service,
    failure::Failure,
    output::clean,
    show::{print, print_json_line, tell},
};

pub(crate) async fn create(
    service: &Service,
    workspace: WorkspaceId,
    name: String,
    json: bool,
) -> Result<(), Failure> {
    let made = service
        .client
        .create_token(workspace, &TokenCreate { name })
        .await
        .map_err(|error| Failure::of(service, error))?;
    let (id, token) = (made.id, SecretString::from(made.token));
    if json {
        return print_json_line(&json!({"id": id, "token": token.expose_secret()}));
    }
    tell(&format!("token {id} is made; it is shown this once:"))?;
    print(&clean(token.expose_secret()))
}

pub(crate) async fn list(
    service: &Service,
    workspace: WorkspaceId,
    json: bool,
) -> Result<(), Failure> {
    let tokens = service
        .client
        .list_tokens(workspace)
        .await
        .map_err(|error| Failure::of(service, error))?;
    if !json && !tokens.is_empty() {
        print("id\tmade\tlast used\trevoked\tname")?;
    }
    for token in &tokens {
        if json {
            print_json_line(token)?;
        } else {
            print(&format!(
                "{}\t{}\t{}\t{}\t{}",
                token.id,
                time(Some(token.created_at)),
                time(token.last_used_at),
                time(token.revoked_at),
                clean(&token.name)
            ))?;
        }
    }
    Ok(())
}

pub(crate) async fn revoke(
    service: &Service,
    workspace: WorkspaceId,
    id: TokenId,
) -> Result<(), Failure> {
    service
        .client
        .revoke_token(workspace, id)
        .await
        .map_err(|error| Failure::of(service, error))?;
    print(&format!("token {id} is revoked"))
}

fn time(at: Option<DateTime<Utc>>) -> String {
    match at {
        Some(at) => at.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}
