//! The account itself.

use serde::Deserialize;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client, Kind},
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
    /// Such as `USD`.
    #[serde(default)]
    pub company_currency: Option<String>,
    /// Of the time zone, now.
    #[serde(default)]
    pub utc_offset_milliseconds: Option<i64>,
    /// Where its pages are, such as `app-eu1.hubspot.com`.
    #[serde(default)]
    pub ui_domain: Option<String>,
    /// Such as `na1` or `eu1`.
    #[serde(default)]
    pub data_hosting_location: Option<String>,
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
            .get(
                &format!("/account-info/{API_VERSION}/details"),
                &[],
                Kind::Read,
            )
            .await?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::UnexpectedResponse {
            context: "account details",
        })
    }

    /// Removes our app from the portal; HubSpot tells the customer by e-mail.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn uninstall(&self) -> Result<(), Error> {
        self.0
            .delete(
                &format!("/appinstalls/{API_VERSION}/external-install"),
                Bucket::General,
            )
            .await
    }
}
