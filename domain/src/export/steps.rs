//! The order of an export as data: the next step is a function of what is known so far. Whoever
//! carries the steps out adds what each brought and asks again, after any crash as well.
//!
//! qualify → fresh read → plan → ensure company → write contact → associate where missing → done
//!
//! A new contact whose address HubSpot may refuse is written before the company is ensured.

use chrono::{DateTime, Utc};

use super::{
    association::{self, AssociationKind, ContactCompany, Moment},
    contact::{ContactPlan, Decision, Skip},
    journal::EntryId,
    policy::Qualified,
    request::WaitReason,
};
use crate::HubSpotObjectId;

/// By what a contact is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// By its id.
    Id(HubSpotObjectId),
    /// By the person's address.
    Email,
}

/// What a read of a contact brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// It was not asked yet.
    #[default]
    NotAsked,
    /// A live contact.
    Live,
    /// It is in the recycle bin.
    Archived,
    /// HubSpot said that there is none.
    Nobody,
    /// It was merged into this one.
    MergedInto(HubSpotObjectId),
    /// HubSpot refused the question or did not speak of the contact: that is not *nobody*.
    Doubtful,
}

/// How far the fresh read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// This is asked next.
    Ask(ReadBy),
    /// A live contact was found.
    Live,
    /// The linked contact was archived, and nobody else has the address.
    Archived(HubSpotObjectId),
    /// HubSpot knows the linked contact no more, and nobody else has the address.
    Gone(HubSpotObjectId),
    /// There is no link, and nobody has the address.
    Nobody,
    /// The answers say nothing: asked again later.
    Doubtful,
}

/// What is read next: the linked contact, along merges; where that one lives no more, or without a
/// link, by the address.
pub const fn reading(
    linked: Option<HubSpotObjectId>,
    by_link: Answer,
    by_email: Answer,
) -> Reading {
    let Some(linked) = linked else {
        return match by_email {
            Answer::NotAsked => Reading::Ask(ReadBy::Email),
            Answer::Live => Reading::Live,
            Answer::MergedInto(id) => Reading::Ask(ReadBy::Id(id)),
            Answer::Archived | Answer::Nobody => Reading::Nobody,
            Answer::Doubtful => Reading::Doubtful,
        };
    };
    match (by_link, by_email) {
        (Answer::NotAsked, _) => Reading::Ask(ReadBy::Id(linked)),
        (Answer::Live, _) => Reading::Live,
        (Answer::MergedInto(id), _) => Reading::Ask(ReadBy::Id(id)),
        (Answer::Doubtful, _) => Reading::Doubtful,
        (_, Answer::NotAsked) => Reading::Ask(ReadBy::Email),
        (_, Answer::Live) => Reading::Live,
        (_, Answer::MergedInto(id)) => Reading::Ask(ReadBy::Id(id)),
        (_, Answer::Doubtful) => Reading::Doubtful,
        (Answer::Archived, _) => Reading::Archived(linked),
        (Answer::Nobody, _) => Reading::Gone(linked),
    }
}

/// How far the company is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanyProgress {
    /// Nothing names a company, or there is to be none.
    None,
    /// It is still to be found or made.
    ToEnsure,
    /// It is there.
    Ensured(HubSpotObjectId),
}

/// What is known so far about one person's export.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// An entry of the journal that somebody left open.
    pub open_entry: Option<EntryId>,
    /// Whether the request goes on, by what holds now.
    pub qualified: Option<Qualified>,
    /// The contact that the person is linked to.
    pub linked: Option<HubSpotObjectId>,
    /// What the read by the link brought.
    pub by_link: Answer,
    /// What the read by the address brought.
    pub by_email: Answer,
    /// The plan, made from the fresh read.
    pub plan: Option<&'a ContactPlan>,
    /// Until when the day's ceiling holds writes up, if it does.
    pub held_until: Option<DateTime<Utc>>,
    /// How far the company is.
    pub company: CompanyProgress,
    /// Whether the properties that have to be emptied first were.
    pub emptied: bool,
    /// The contact, once it was written.
    pub written: Option<HubSpotObjectId>,
    /// Whether the contact was made by an export of the person that did not come to its end.
    pub made_before: bool,
    /// The companies of a contact that was there before, once they are known to the end.
    pub companies: Option<&'a [ContactCompany]>,
    /// Whether the missing association was written.
    pub associated: bool,
}

/// How a request ends, or what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// HubSpot has the person.
    Exported {
        /// The contact.
        contact: HubSpotObjectId,
        /// Whether its companies are looked at again in a minute: HubSpot's own automation may have
        /// put another in the place of ours, or left ours out.
        look_again: bool,
    },
    /// Left out.
    Skipped(Skip),
    /// Goes on later.
    Waits {
        /// For what.
        reason: WaitReason,
        /// When it is looked at again; none: when what it waits for happens, or by the usual back-off.
        due: Option<DateTime<Utc>>,
    },
}

/// A step of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportStep {
    /// Find out what became of a write that somebody began.
    TakeOver(EntryId),
    /// Judge the request by what holds now.
    Qualify,
    /// Ask HubSpot for the contact.
    Read(ReadBy),
    /// Make the plan.
    Plan,
    /// Find or make the company.
    EnsureCompany,
    /// Empty properties that cannot be set otherwise.
    Empty(Vec<String>),
    /// Write the contact; a new one together with its company.
    WriteContact {
        /// The company that a new contact is associated with in its create.
        company: Option<HubSpotObjectId>,
    },
    /// Ask HubSpot for the companies of the contact.
    ReadCompanies(HubSpotObjectId),
    /// Associate the contact with its company.
    Associate {
        /// The contact.
        contact: HubSpotObjectId,
        /// The company.
        company: HubSpotObjectId,
        /// As what.
        kind: AssociationKind,
    },
    /// Nothing is left to do for now.
    Done(End),
}

/// The next step.
pub fn next(known: &Known<'_>) -> ExportStep {
    use ExportStep as S;
    let skipped = |skip: Skip| S::Done(End::Skipped(skip));
    let waits = |reason, due| S::Done(End::Waits { reason, due });
    if let Some(entry) = known.open_entry {
        return S::TakeOver(entry);
    }
    match known.qualified {
        None => return S::Qualify,
        Some(Qualified::No(reason)) => return skipped(reason.into()),
        Some(Qualified::Waits) => return waits(WaitReason::PersonNotExported, None),
        Some(Qualified::Yes) => {}
    }
    match reading(known.linked, known.by_link, known.by_email) {
        Reading::Ask(by) => return S::Read(by),
        Reading::Doubtful => return waits(WaitReason::TriedAgainLater, None),
        Reading::Live | Reading::Archived(_) | Reading::Gone(_) | Reading::Nobody => {}
    }
    let Some(plan) = known.plan else {
        return S::Plan;
    };
    if let Decision::Skip(skip) = &plan.decision {
        return skipped(skip.clone());
    }
    let begun = known.emptied || known.written.is_some();
    if let Some(due) = known.held_until
        && plan.writes()
        && !begun
    {
        return waits(WaitReason::OverCeiling, Some(due));
    }
    let created = plan.decision == Decision::Create;
    let first = created && plan.contact_first;
    let company = match known.company {
        CompanyProgress::ToEnsure if first && known.written.is_none() => None,
        CompanyProgress::ToEnsure => return S::EnsureCompany,
        CompanyProgress::Ensured(company) => Some(company),
        CompanyProgress::None => None,
    };
    let contact = match (known.written, plan.contact()) {
        (Some(contact), _) => contact,
        (None, Some(contact)) if !plan.writes() => contact,
        (None, _) => {
            let empty: Vec<String> = plan
                .changes
                .iter()
                .filter(|c| c.write.empties_first())
                .map(|c| c.property.clone())
                .collect();
            return if empty.is_empty() || known.emptied {
                S::WriteContact {
                    company: company.filter(|_| created),
                }
            } else {
                S::Empty(empty)
            };
        }
    };
    let exported = |look_again| {
        S::Done(End::Exported {
            contact,
            look_again,
        })
    };
    let new = created || known.made_before;
    let Some(company) = company else {
        return exported(new);
    };
    if created && !first || known.associated {
        return exported(new);
    }
    let Some(companies) = known.companies else {
        return S::ReadCompanies(contact);
    };
    match association::decide(companies, company, Moment::Export) {
        Some(kind) => S::Associate {
            contact,
            company,
            kind,
        },
        None => exported(new),
    }
}
