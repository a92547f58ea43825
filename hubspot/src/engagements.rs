//! What only engagements have: emails, calls, meetings, notes, tasks and communications. They are
//! read and written with [`Client::objects`](crate::Client::objects) like any record; here are the
//! names and values of their properties (`hubspot-api.md` §9).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::{
    Client, Cursor, Error, ObjectType, PagingGuard, RecordId,
    associations::{AssociationSpec, PAGE},
    objects::CreateInput,
    search::{Filter, SearchRequest},
};

/// When it took place; required. For a task, when it is due.
pub const TIMESTAMP: &str = "hs_timestamp";
/// Whose it is.
pub const OWNER: &str = "hubspot_owner_id";
/// Longest body of a note, in characters.
pub const NOTE_BODY: usize = 65_536;

/// The plain association of an engagement with a contact, a company or a deal (`hubspot-api.md` §8); none of
/// other pairs.
pub const fn association(engagement: ObjectType, with: ObjectType) -> Option<AssociationSpec> {
    use ObjectType as T;
    let type_id = match (engagement, with) {
        (T::Call, T::Contact) => 194,
        (T::Call, T::Company) => 182,
        (T::Call, T::Deal) => 206,
        (T::Email, T::Contact) => 198,
        (T::Email, T::Company) => 186,
        (T::Email, T::Deal) => 210,
        (T::Meeting, T::Contact) => 200,
        (T::Meeting, T::Company) => 188,
        (T::Meeting, T::Deal) => 212,
        (T::Note, T::Contact) => 202,
        (T::Note, T::Company) => 190,
        (T::Note, T::Deal) => 214,
        (T::Task, T::Contact) => 204,
        (T::Task, T::Company) => 192,
        (T::Task, T::Deal) => 216,
        (T::Communication, T::Contact) => 81,
        (T::Communication, T::Company) => 87,
        (T::Communication, T::Deal) => 85,
        _ => return None,
    };
    Some(AssociationSpec::hubspot(type_id))
}

macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// The value that HubSpot takes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

values! {
    /// `hs_email_direction`
    EmailDirection {
        /// Sent.
        Sent = "EMAIL",
        /// Received.
        Received = "INCOMING_EMAIL",
        /// Forwarded to the CRM.
        Forwarded = "FORWARDED_EMAIL",
    }
}

values! {
    /// `hs_email_status`
    EmailStatus {
        /// Came back.
        Bounced = "BOUNCED",
        /// Was not sent.
        Failed = "FAILED",
        /// Will be sent.
        Scheduled = "SCHEDULED",
        /// Is on its way.
        Sending = "SENDING",
        /// Was sent.
        Sent = "SENT",
    }
}

values! {
    /// `hs_call_direction`
    CallDirection {
        /// They called.
        Inbound = "INBOUND",
        /// We called.
        Outbound = "OUTBOUND",
    }
}

values! {
    /// `hs_call_status`
    CallStatus {
        /// Busy.
        Busy = "BUSY",
        /// Called off.
        Canceled = "CANCELED",
        /// Done.
        Completed = "COMPLETED",
        /// Failed.
        Failed = "FAILED",
        /// Nobody answered.
        NoAnswer = "NO_ANSWER",
    }
}

values! {
    /// `hs_call_disposition`: the outcomes that every portal has.
    CallDisposition {
        /// Busy.
        Busy = "9d9162e7-6cf3-4944-bf63-4dff82258764",
        /// Connected.
        Connected = "f240bbac-87c9-4f6e-bf70-924b57d47db7",
        /// Left a message with somebody.
        LeftMessage = "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
        /// Left a message on the machine.
        Voicemail = "b2cf5968-551e-4856-9783-52b3da59a7d0",
        /// Nobody answered.
        NoAnswer = "73a0d17f-1163-4015-bdd5-ec830791da20",
        /// Somebody else.
        WrongNumber = "17b47fee-58de-441e-a44c-c6300d46f273",
    }
}

values! {
    /// `hs_meeting_outcome`. Cancelled is left out: HubSpot's own papers spell it in two ways.
    MeetingOutcome {
        /// Will take place.
        Scheduled = "SCHEDULED",
        /// Took place.
        Completed = "COMPLETED",
        /// Was put off.
        Rescheduled = "RESCHEDULED",
        /// Nobody came.
        NoShow = "NO_SHOW",
    }
}

values! {
    /// `hs_task_status`
    TaskStatus {
        /// Not begun.
        NotStarted = "NOT_STARTED",
        /// Begun.
        InProgress = "IN_PROGRESS",
        /// Waits for somebody.
        Waiting = "WAITING",
        /// Put off.
        Deferred = "DEFERRED",
        /// Done.
        Completed = "COMPLETED",
    }
}

values! {
    /// `hs_task_priority`
    TaskPriority {
        /// Low.
        Low = "LOW",
        /// Medium.
        Medium = "MEDIUM",
        /// High.
        High = "HIGH",
    }
}

values! {
    /// `hs_task_type`
    TaskType {
        /// Write an e-mail.
        Email = "EMAIL",
        /// Call.
        Call = "CALL",
        /// Anything.
        Todo = "TODO",
    }
}

values! {
    /// `hs_communication_channel_type`
    Channel {
        /// WhatsApp.
        WhatsApp = "WHATS_APP",
        /// LinkedIn.
        LinkedIn = "LINKEDIN_MESSAGE",
        /// SMS.
        Sms = "SMS",
    }
}

/// The parties of an e-mail: `hs_email_headers`, which fills the read-only `hs_email_from_*` and
/// `hs_email_to_*`.
#[derive(Clone, Default, Serialize)]
pub struct EmailHeaders {
    /// Who wrote.
    pub from: Party,
    /// To whom.
    pub to: Vec<Party>,
    /// Copies.
    pub cc: Vec<Party>,
    /// Hidden copies.
    pub bcc: Vec<Party>,
}

/// A party of an e-mail.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// The address.
    pub email: String,
    /// The first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
}

impl EmailHeaders {
    /// The value of `hs_email_headers`: JSON in a string.
    pub fn value(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The endpoints of engagements, beside those of all records.
#[derive(Debug, Clone, Copy)]
pub struct Engagements<'c>(&'c Client);

impl Client {
    /// What only engagements are asked; the rest is in [`Client::objects`].
    pub const fn engagements(&self) -> Engagements<'_> {
        Engagements(self)
    }
}

impl Engagements<'_> {
    /// The engagements of a type that are associated with a contact, to the end of the pages. Associations
    /// are not behind the search index.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a contact that is not there; see [`Error`].
    pub async fn of_contact(
        &self,
        contact: RecordId,
        engagement: ObjectType,
    ) -> Result<Vec<RecordId>, Error> {
        const CONTEXT: &str = "engagements of a contact";
        let mut guard = PagingGuard::any_order(CONTEXT);
        let mut all = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = self
                .0
                .associations()
                .list(
                    ObjectType::Contact,
                    contact,
                    engagement,
                    after.as_ref(),
                    PAGE,
                )
                .await?;
            let moves = guard.check(after.as_ref(), &page, |a| a.to.get());
            for association in page.results {
                let association =
                    association.map_err(|_| Error::UnexpectedResponse { context: CONTEXT })?;
                all.push(association.to);
            }
            moves?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// The engagements of a type that HubSpot's index has of a moment: the first of them. None is no proof
    /// that there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn at(
        &self,
        engagement: ObjectType,
        at: DateTime<Utc>,
    ) -> Result<Vec<RecordId>, Error> {
        let millis = at.timestamp_millis().to_string();
        let request = SearchRequest::new(engagement)
            .properties([TIMESTAMP])
            .sort_ascending("hs_object_id")
            .group([Filter::eq(TIMESTAMP, millis)]);
        let page = self.0.search().run(&request).await?;
        Ok(page
            .results
            .into_iter()
            .filter_map(|found| found.ok().map(|object| object.id))
            .collect())
    }
}

impl CreateInput {
    /// An engagement that took place at this time.
    pub fn engagement(at: DateTime<Utc>) -> Self {
        Self::new([(TIMESTAMP, at.to_rfc3339_opts(SecondsFormat::Millis, true))])
    }

    /// The same with this property.
    #[must_use]
    pub fn with(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(property.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_of_an_email_are_json_in_a_string() {
        let headers = EmailHeaders {
            from: Party {
                email: "a@example.com".to_owned(),
                first_name: Some("A".to_owned()),
                last_name: None,
            },
            to: vec![Party {
                email: "b@example.com".to_owned(),
                ..Party::default()
            }],
            ..EmailHeaders::default()
        };
        assert_eq!(
            headers.value(),
            r#"{"from":{"email":"a@example.com","firstName":"A"},"to":[{"email":"b@example.com"}],"cc":[],"bcc":[]}"#
        );
    }
}
