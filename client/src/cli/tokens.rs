//! Service tokens of a workspace (X8).

use chrono::{DateTime, Utc};
use client::Error;
use domain::{
    WorkspaceId,
    api::{TokenAnswer, TokenCreate, TokenId},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    args::Service,
    output::clean,
    show::{Answer, Row},
};

/// A token that was just made: shown this once.
pub(crate) struct NewToken {
    id: TokenId,
    token: SecretString,
}

impl Serialize for NewToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("NewToken", 2)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("token", self.token.expose_secret())?;
        fields.end()
    }
}

impl Answer for NewToken {
    fn text(&self) -> String {
        clean(self.token.expose_secret())
    }

    fn note(&self) -> Option<String> {
        Some(format!("token {} is made; it is shown this once:", self.id))
    }
}

pub(crate) async fn create(
    service: &Service,
    workspace: WorkspaceId,
    name: String,
) -> Result<NewToken, Error> {
    let made = service
        .client
        .create_token(workspace, &TokenCreate { name })
        .await?;
    Ok(NewToken {
        id: made.id,
        token: made.token.into(),
    })
}

impl Row for TokenAnswer {
    const HEAD: &'static str = "id\tmade\tlast used\trevoked\tname";

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            time(Some(self.created_at)),
            time(self.last_used_at),
            time(self.revoked_at),
            self.name.clone(),
        ]
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    match at {
        Some(at) => at.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}
