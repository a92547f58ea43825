//! Lead statuses (E7).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::IdError;

/// Where a person stands in the app's outreach.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LeadStatus {
    /// Waits for its first message. Advanced.
    Queued,
    /// Was written to or called.
    Contacted,
    /// Answered.
    Replied,
    /// Answered that they are interested.
    Interested,
    /// A meeting stands in the calendar.
    MeetingBooked,
    /// Answered that they are not interested.
    NotInterested,
    /// Wants no more messages.
    Unsubscribed,
    /// An automatic answer came. Advanced.
    OutOfOffice,
    /// Answered that somebody else is in charge. Advanced.
    WrongPerson,
    /// Wants to hear again later. Advanced.
    FollowUpLater,
    /// The e-mail could not be delivered. Advanced.
    Bounced,
    /// The sequence ended and nobody answered. Advanced.
    FinishedWithoutReply,
}

impl LeadStatus {
    /// All of them, in the order in which a lead usually passes through them.
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Contacted,
        Self::Replied,
        Self::Interested,
        Self::MeetingBooked,
        Self::NotInterested,
        Self::Unsubscribed,
        Self::OutOfOffice,
        Self::WrongPerson,
        Self::FollowUpLater,
        Self::Bounced,
        Self::FinishedWithoutReply,
    ];

    /// The name in the store, in the API and in files.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Contacted => "contacted",
            Self::Replied => "replied",
            Self::Interested => "interested",
            Self::MeetingBooked => "meeting_booked",
            Self::NotInterested => "not_interested",
            Self::Unsubscribed => "unsubscribed",
            Self::OutOfOffice => "out_of_office",
            Self::WrongPerson => "wrong_person",
            Self::FollowUpLater => "follow_up_later",
            Self::Bounced => "bounced",
            Self::FinishedWithoutReply => "finished_without_reply",
        }
    }

    /// What a person reads.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Contacted => "Contacted",
            Self::Replied => "Replied",
            Self::Interested => "Interested",
            Self::MeetingBooked => "Meeting booked",
            Self::NotInterested => "Not interested",
            Self::Unsubscribed => "Unsubscribed",
            Self::OutOfOffice => "Out of office",
            Self::WrongPerson => "Wrong person",
            Self::FollowUpLater => "Follow up later",
            Self::Bounced => "Bounced",
            Self::FinishedWithoutReply => "Finished without reply",
        }
    }

    /// Whether it is one of the six that are always shown; the others are shown on demand.
    pub const fn is_basic(&self) -> bool {
        matches!(
            self,
            Self::Contacted
                | Self::Replied
                | Self::Interested
                | Self::MeetingBooked
                | Self::NotInterested
                | Self::Unsubscribed
        )
    }
}

impl fmt::Display for LeadStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LeadStatus {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or(IdError::Malformed {
                kind: "lead status",
                expected: "one of queued, contacted, replied, interested, meeting_booked, not_interested, unsubscribed, out_of_office, wrong_person, follow_up_later, bounced, finished_without_reply",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_six_are_basic() {
        for status in LeadStatus::ALL {
            assert_eq!(status.as_str().parse::<LeadStatus>().unwrap(), status);
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!(LeadStatus::ALL.iter().filter(|s| s.is_basic()).count(), 6);
    }
}
