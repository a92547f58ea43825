//! The account itself.

use serde::Deserialize;

use crate::{
    client::{API_VERSION, Client},
    error::Error,
    ids::PortalId,
};

/// What an account says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountDetails {
    /// The portal.
    pub portal_id: PortalId,
    /// Such as `STANDARD` or `DEVELOPER_TEST`.
    #[serde(default)]
    pub account_type: Option<String>,
    /// Such as `US/Eastern`; the daily limit resets at its midnight.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// The endpoints of the account.
#[derive(Debug)]
pub struct Account<'a>(&'a Client);

impl Client {
    /// The endpoints of the account.
    pub const fn account(&self) -> Account<'_> {
        Account(self)
    }
}

impl Account<'_> {
    /// Which portal the tokens belong to.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn details(&self) -> Result<AccountDetails, Error> {
        let answer = self
            .0
            .get(&format!("/account-info/{API_VERSION}/details"), &[])
            .await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
            context: "account details",
        })
    }
}
