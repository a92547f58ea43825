//! Why a request is not in HubSpot, in plain words, and what to do about it.

use domain::{
    QuarantineReason,
    api::RetryReason,
    export::{FailReason, RequestState, SkipReason, WaitReason},
};

/// A heading and a way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) title: &'static str,
    pub(crate) way_out: &'static str,
}

const fn words(title: &'static str, way_out: &'static str) -> Words {
    Words { title, way_out }
}

/// What failed: the problems that the navigation counts.
pub(crate) fn problems() -> Vec<RetryReason> {
    FailReason::ALL.map(RetryReason::Failed).into()
}

/// The reasons of a state.
pub(crate) fn of_state(state: RequestState) -> Vec<RetryReason> {
    RetryReason::all().filter(|r| r.state() == state).collect()
}

/// The reasons that somebody may want to do something about: what failed first, then what waits, then
/// what was left out for a cause that can be mended. Whom the policy leaves out is no problem.
pub(crate) fn to_look_at() -> Vec<RetryReason> {
    let failed = FailReason::ALL.map(RetryReason::Failed);
    let waiting = WaitReason::ALL.map(RetryReason::Waiting);
    let skipped = SkipReason::ALL
        .into_iter()
        .filter(|reason| can_be_mended(*reason))
        .map(RetryReason::Skipped);
    failed.into_iter().chain(waiting).chain(skipped).collect()
}

/// The same of activities. That one waits for its person is as it should be, and what the settings or the
/// app leave out is no problem.
pub(crate) fn of_activities() -> Vec<RetryReason> {
    let failed = FailReason::ALL.map(RetryReason::Failed);
    let waiting = WaitReason::ALL
        .into_iter()
        .filter(|reason| *reason != WaitReason::PersonNotExported)
        .map(RetryReason::Waiting);
    failed.into_iter().chain(waiting).collect()
}

const fn can_be_mended(reason: SkipReason) -> bool {
    match reason {
        SkipReason::NoEmail
        | SkipReason::SettingsNotSaved
        | SkipReason::UpdateOnly
        | SkipReason::ContactArchived
        | SkipReason::ContactGone
        | SkipReason::PortalRule
        | SkipReason::EmailRefused
        | SkipReason::StatusNotMapped
        | SkipReason::QualifiedEarlier => true,
        SkipReason::UnknownPerson
        | SkipReason::NotContacted
        | SkipReason::NotReplied
        | SkipReason::NotRepliedPositively
        | SkipReason::Erased
        | SkipReason::ActivityOff
        | SkipReason::ActivityDeleted
        | SkipReason::Superseded
        | SkipReason::ErasedInHubspot => false,
    }
}

/// Whether asking again can help, before something else was done.
pub(crate) const fn can_be_retried(reason: RetryReason) -> bool {
    match reason {
        RetryReason::Failed(_) | RetryReason::Skipped(_) => true,
        // It goes on by itself when it may; asked now it would only wait again.
        RetryReason::Waiting(
            WaitReason::NotConnected
            | WaitReason::NeedsReconnect
            | WaitReason::PersonNotExported
            | WaitReason::OutcomeUnknown
            | WaitReason::OverCeiling,
        ) => false,
        RetryReason::Waiting(WaitReason::TriedAgainLater) => true,
    }
}

/// The paragraph about a reason; none about waiting, which ends by itself.
pub(crate) const fn code(reason: RetryReason) -> &'static str {
    match reason {
        RetryReason::Failed(reason) => reason.code(),
        RetryReason::Skipped(reason) => reason.code(),
        RetryReason::Waiting(_) => "",
    }
}

/// A reason in words.
pub(crate) const fn of(reason: RetryReason) -> Words {
    match reason {
        RetryReason::Failed(reason) => failed(reason),
        RetryReason::Waiting(reason) => waiting(reason),
        RetryReason::Skipped(reason) => skipped(reason),
    }
}

const fn failed(reason: FailReason) -> Words {
    match reason {
        FailReason::Invalid => words(
            "HubSpot refused a value",
            "Open the person: the journal names the property. Correct the value, or do not export the property; then retry.",
        ),
        FailReason::ScopeMissing => words(
            "HubSpot does not allow the write",
            "Connect again and allow what is asked for; then retry.",
        ),
        FailReason::RecordGone => words(
            "The record is gone in HubSpot",
            "It could not be made again. Look at the person, then retry.",
        ),
        FailReason::Conflict => words(
            "Another record has the same unique value",
            "Merge the two in HubSpot, or correct the value; then retry.",
        ),
        FailReason::Defect => words(
            "We failed at it",
            "The fault is ours. Retry; if it comes back, tell support the code.",
        ),
    }
}

const fn waiting(reason: WaitReason) -> Words {
    match reason {
        WaitReason::NotConnected => words(
            "Waits for a connection",
            "They go on when the same portal is connected again.",
        ),
        WaitReason::NeedsReconnect => words(
            "Waits for a reconnect",
            "HubSpot no longer accepts our access. They go on when somebody reconnects.",
        ),
        WaitReason::PersonNotExported => words(
            "Waits until the person is exported",
            "A status or activity follows its person; nothing is to be done.",
        ),
        WaitReason::TriedAgainLater => words(
            "HubSpot did not answer",
            "They are tried again by themselves, later and later.",
        ),
        WaitReason::OutcomeUnknown => words(
            "Outcome unknown",
            "HubSpot did not answer in time. We read back before writing again, so that nothing is written twice.",
        ),
        WaitReason::OverCeiling => words(
            "Waits for the next day",
            "The day's ceiling of written records is reached. They go on at midnight of the portal's time zone.",
        ),
    }
}

const fn skipped(reason: SkipReason) -> Words {
    match reason {
        SkipReason::UnknownPerson => {
            words("The app does not know the person", "Nothing is to be done.")
        }
        SkipReason::NoEmail => words(
            "The person has no e-mail",
            "Without an address nobody can tell who it is in HubSpot. Add one in the app, then retry.",
        ),
        SkipReason::NotContacted => words("Not contacted yet", "The policy asks for it."),
        SkipReason::NotReplied => words("Not replied yet", "The policy asks for it."),
        SkipReason::NotRepliedPositively => {
            words("Not replied positively yet", "The policy asks for it.")
        }
        SkipReason::QualifiedEarlier => words(
            "Qualified before the policy was in force",
            "They are exported only by a bulk export, or one by one by hand.",
        ),
        SkipReason::Erased => words("The person was erased", "Nothing is to be done."),
        SkipReason::ActivityOff => words(
            "This kind of activity is switched off",
            "Nothing is to be done.",
        ),
        SkipReason::ActivityDeleted => words(
            "The activity was deleted in the app",
            "Nothing is to be done.",
        ),
        SkipReason::StatusNotMapped => words(
            "The status is not mapped",
            "Map it in the settings, then retry.",
        ),
        SkipReason::Superseded => {
            words("A newer request says it already", "Nothing is to be done.")
        }
        SkipReason::SettingsNotSaved => words(
            "The settings were not saved yet",
            "Nothing is exported before. Save Basic sync once, then retry.",
        ),
        SkipReason::UpdateOnly => words(
            "HubSpot has no such contact, and none are made",
            "Set New records to “Create and update” in Basic sync, then retry.",
        ),
        SkipReason::ContactArchived => words(
            "The contact was archived in HubSpot",
            "Somebody took it away there. Export the person by hand to make another one.",
        ),
        SkipReason::ContactGone => words(
            "HubSpot no longer has the contact",
            "It was deleted for good. Export the person by hand to make another one.",
        ),
        SkipReason::PortalRule => words(
            "The portal requires a property that has no value",
            "Give the property a value by the mapping or a fixed value, then retry.",
        ),
        SkipReason::EmailRefused => words(
            "HubSpot does not take the address",
            "Correct the address in the app, then retry.",
        ),
        SkipReason::ErasedInHubspot => words(
            "HubSpot erased whoever had this address",
            "HubSpot takes the address no more; nothing is to be done.",
        ),
    }
}

/// Why a record was set aside.
pub(crate) const fn set_aside(reason: QuarantineReason) -> &'static str {
    match reason {
        QuarantineReason::IdNotANumber => "It has no readable id",
        QuarantineReason::NulCharacter => "A value holds a character that cannot be stored (NUL)",
        QuarantineReason::Malformed => {
            "A date lies outside the calendar, or the record is not of HubSpot's usual shape"
        }
    }
}
