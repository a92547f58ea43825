//! What only contacts have.

use serde::Serialize;

use crate::{
    budget::Bucket,
    client::{API_VERSION, Client, Kind},
    error::Error,
    ids::{ObjectType, RecordId},
    objects::{CrmObject, ReadOptions, RecordKey},
};

/// The endpoints that only contacts have.
#[derive(Debug)]
pub struct Contacts<'a>(&'a Client);

impl Client {
    /// The endpoints that only contacts have; the others are in [`Client::objects`].
    pub const fn contacts(&self) -> Contacts<'_> {
        Contacts(self)
    }
}

/// An e-mail address in the form in which all ways to write it are the same: without regard to case,
/// and with the domain as DNS knows it. HubSpot gives an international address in the one form or the
/// other.
pub(crate) fn normal_email(text: &str) -> String {
    let text = text.trim();
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase());
            format!("{}@{domain}", local.to_lowercase())
        }
        None => text.to_lowercase(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    object_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_property: Option<&'a str>,
}

impl Contacts<'_> {
    /// The contact with this e-mail, also as one of its additional ones. By batch read, so that the
    /// e-mail is in no URL.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn by_email(
        &self,
        email: &str,
        options: &ReadOptions,
    ) -> Result<Option<CrmObject>, Error> {
        self.0
            .objects()
            .find(ObjectType::Contact, &RecordKey::email(email), options)
            .await
    }

    /// Erases a contact for good.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when it may have happened; doing it again does no harm.
    pub async fn gdpr_delete(&self, id: RecordId) -> Result<(), Error> {
        self.erase(&Body {
            object_id: id.to_string(),
            id_property: None,
        })
        .await
    }

    /// Erases the contact with this e-mail for good. An e-mail that is not known is blocked from
    /// then on.
    ///
    /// # Errors
    /// As [`Contacts::gdpr_delete`].
    pub async fn gdpr_delete_by_email(&self, email: &str) -> Result<(), Error> {
        self.erase(&Body {
            object_id: email.to_owned(),
            id_property: Some("email"),
        })
        .await
    }

    async fn erase(&self, body: &Body<'_>) -> Result<(), Error> {
        let path = format!("/crm/objects/{API_VERSION}/contacts/gdpr-delete");
        self.0
            .post(&path, body, Bucket::General, Kind::Write)
            .await
            .map(drop)
    }
}
