//! Lead statuses (E7).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a person stands in the app's outreach.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumCount,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
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

crate::named::named!(LeadStatus, "lead status");

impl LeadStatus {
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
