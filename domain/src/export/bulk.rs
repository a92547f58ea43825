//! A bulk export (E1): many people, by the policy, in batches of HubSpot's size, after an admin looked at
//! who is taken and confirmed. What is special about a person goes on as an export of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::contact::{ContactPlan, Decision, Skip};
use crate::{
    HubSpotObjectId,
    app::{AddressForms, Email},
};

/// Most records of one request of HubSpot's batch endpoints.
pub const BATCH: usize = 100;

/// Most people of a workspace who are exported one by one at a time; more go in bulk.
pub const ONE_BY_ONE: usize = 25;

/// Of exports that are due, those of workspaces which have so many of them that they go in bulk.
pub fn go_in_bulk<W: Copy + Ord>(due: impl IntoIterator<Item = W>) -> BTreeSet<W> {
    let mut people: BTreeMap<W, usize> = BTreeMap::new();
    for workspace in due {
        *people.entry(workspace).or_default() += 1;
    }
    people.retain(|_, people| *people > ONE_BY_ONE);
    people.into_keys().collect()
}

/// Where a bulk export stands.
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
pub enum BulkState {
    /// It is being found out who would be taken.
    Previewing,
    /// Nothing is written before somebody confirms.
    WaitingForConfirmation,
    /// People are exported.
    Running,
    /// Nobody is begun with any more; what was begun is brought to its end.
    Cancelling,
    /// It ended before it was through.
    Cancelled,
    /// All people were taken in hand; what became of each is in its request.
    Done,
}

crate::named::named!(BulkState, "state of a bulk export");

impl BulkState {
    /// Whether nothing more is done for it.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }

    /// What becomes of it when somebody confirms; none where that is too late or too early.
    pub const fn confirmed(&self) -> Option<Self> {
        match self {
            Self::WaitingForConfirmation | Self::Running => Some(Self::Running),
            Self::Previewing | Self::Cancelling | Self::Cancelled | Self::Done => None,
        }
    }

    /// What becomes of it when somebody cancels. Where nothing was written yet it is over at once.
    pub const fn cancelled(&self) -> Self {
        match self {
            Self::Previewing | Self::WaitingForConfirmation | Self::Cancelled => Self::Cancelled,
            Self::Running | Self::Cancelling => Self::Cancelling,
            Self::Done => Self::Done,
        }
    }
}

/// Why somebody does not go in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alone {
    /// HubSpot may refuse the address: the contact is made before its company then.
    AddressMayBeRefused,
    /// A property has to be emptied in a write before.
    EmptiesFirst,
    /// Somebody else of the batch has the same address.
    SameAddress,
    /// Somebody else of the batch is the same contact.
    SameContact,
}

/// How a person's contact goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lane {
    /// Made, with the others that are.
    Create,
    /// Written, with the others that are.
    Update(HubSpotObjectId),
    /// Not written: HubSpot has all there is.
    Keep(HubSpotObjectId),
    /// The request ends.
    Skip(Skip),
    /// By an export of its own.
    Alone(Alone),
}

/// Somebody of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// The plan of the contact.
    pub plan: &'p ContactPlan,
    /// The person's address.
    pub address: Option<&'p Email>,
}

/// How each of a batch goes on, in their order. No contact is written twice in one batch, and no address
/// is made twice: of two people who are one contact the first goes along.
pub fn lanes(batch: &[Candidate<'_>]) -> Vec<Lane> {
    let mut addresses: BTreeSet<String> = BTreeSet::new();
    let mut contacts: BTreeSet<HubSpotObjectId> = BTreeSet::new();
    batch
        .iter()
        .map(|candidate| {
            let plan = candidate.plan;
            if let Decision::Skip(skip) = &plan.decision {
                return Lane::Skip(skip.clone());
            }
            if plan.contact_first {
                return Lane::Alone(Alone::AddressMayBeRefused);
            }
            if plan.changes.iter().any(|c| c.write.empties_first()) {
                return Lane::Alone(Alone::EmptiesFirst);
            }
            let Some(contact) = plan.contact() else {
                let address = candidate.address.map(Email::as_str).unwrap_or_default();
                let new = addresses.insert(AddressForms::of(address).canonical().to_owned());
                return if new {
                    Lane::Create
                } else {
                    Lane::Alone(Alone::SameAddress)
                };
            };
            if !contacts.insert(contact) {
                return Lane::Alone(Alone::SameContact);
            }
            if plan.writes() {
                Lane::Update(contact)
            } else {
                Lane::Keep(contact)
            }
        })
        .collect()
}

/// What is known of one write of a batch once it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answered {
    /// HubSpot gave the record back.
    Done,
    /// HubSpot refused this one.
    Refused,
    /// It may have been done: the answer is lost, or does not speak of it.
    Unknown,
    /// HubSpot has certainly not acted on it.
    NotActedOn,
}

/// What becomes of somebody whose write was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum After {
    /// The entry is closed as done.
    Close,
    /// The entry is closed as refused, and the person goes on by an export of its own, which leaves out
    /// what HubSpot does not take, or says why it ends.
    RefuseAndAlone,
    /// The entry stays open, and nothing is written about the person before it was read back.
    ReadBack,
    /// The entry is dropped, and the person is taken in hand again.
    DropAndAgain,
}

/// What becomes of somebody whose write was sent. What is not answered is neither done nor failed.
pub const fn after(answered: Answered) -> After {
    match answered {
        Answered::Done => After::Close,
        Answered::Refused => After::RefuseAndAlone,
        Answered::Unknown => After::ReadBack,
        Answered::NotActedOn => After::DropAndAgain,
    }
}

/// How long what is left takes, if it goes on as it did; none before anything was done.
pub fn time_left(done: u64, left: u64, elapsed: TimeDelta) -> Option<TimeDelta> {
    if left == 0 {
        return Some(TimeDelta::zero());
    }
    if done == 0 || elapsed <= TimeDelta::zero() {
        return None;
    }
    let millis = i128::from(elapsed.num_milliseconds()) * i128::from(left) / i128::from(done);
    TimeDelta::try_milliseconds(i64::try_from(millis).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::export::{SkipReason, contact::LinkChange};

    #[test]
    fn more_than_go_one_by_one_go_in_bulk() {
        let due = |one: usize, other: usize| {
            let all = vec![1; one].into_iter().chain(vec![2; other]);
            go_in_bulk(all).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(due(ONE_BY_ONE, 0), [0; 0]);
        assert_eq!(due(ONE_BY_ONE, ONE_BY_ONE + 1), [2]);
        assert_eq!(due(1_000, 1_000), [1, 2]);
    }

    fn id(n: i64) -> HubSpotObjectId {
        HubSpotObjectId::new(n).unwrap()
    }

    fn plan(decision: Decision) -> ContactPlan {
        ContactPlan {
            decision,
            contact_first: false,
            link: LinkChange::Keep,
            changes: Vec::new(),
            left_out: Vec::new(),
            status_said: None,
        }
    }

    #[test]
    fn of_two_who_are_one_contact_the_first_goes_along() {
        let emails: Vec<Email> = ["a@acme.com", "b@acme.com", "A@ACME.com"]
            .iter()
            .map(|text| Email::parse(text).unwrap())
            .collect();
        let skip: Skip = SkipReason::UpdateOnly.into();
        let plans = [
            (plan(Decision::Create), Some(&emails[0]), Lane::Create),
            (plan(Decision::Create), Some(&emails[1]), Lane::Create),
            (
                plan(Decision::Create),
                Some(&emails[2]),
                Lane::Alone(Alone::SameAddress),
            ),
            (
                ContactPlan {
                    contact_first: true,
                    ..plan(Decision::Create)
                },
                None,
                Lane::Alone(Alone::AddressMayBeRefused),
            ),
            (plan(Decision::Nothing(id(1))), None, Lane::Keep(id(1))),
            (
                plan(Decision::Adopt(id(1))),
                None,
                Lane::Alone(Alone::SameContact),
            ),
            (plan(Decision::Adopt(id(2))), None, Lane::Keep(id(2))),
            (
                plan(Decision::Skip(skip.clone())),
                None,
                Lane::Skip(skip.clone()),
            ),
        ];
        let batch: Vec<Candidate<'_>> = plans
            .iter()
            .map(|(plan, address, _)| Candidate {
                plan,
                address: *address,
            })
            .collect();
        let wanted: Vec<Lane> = plans.iter().map(|(_, _, lane)| lane.clone()).collect();
        assert_eq!(lanes(&batch), wanted);
    }

    #[test]
    fn only_what_hubspot_spoke_of_is_done_or_refused() {
        for (answered, want) in [
            (Answered::Done, After::Close),
            (Answered::Refused, After::RefuseAndAlone),
            (Answered::Unknown, After::ReadBack),
            (Answered::NotActedOn, After::DropAndAgain),
        ] {
            assert_eq!(after(answered), want);
        }
    }

    #[test]
    fn a_state_says_what_confirming_and_cancelling_make_of_it() {
        use BulkState as S;
        for (state, confirmed, cancelled) in [
            (S::Previewing, None, S::Cancelled),
            (S::WaitingForConfirmation, Some(S::Running), S::Cancelled),
            (S::Running, Some(S::Running), S::Cancelling),
            (S::Cancelling, None, S::Cancelling),
            (S::Cancelled, None, S::Cancelled),
            (S::Done, None, S::Done),
        ] {
            assert_eq!(state.confirmed(), confirmed, "{state}");
            assert_eq!(state.cancelled(), cancelled, "{state}");
            assert_eq!(
                state.is_final(),
                state.cancelled() == state && state != S::Cancelling
            );
            assert_eq!(state.as_str().parse::<BulkState>().unwrap(), state);
        }
    }

    #[test]
    fn the_time_left_follows_from_the_pace_so_far() {
        let minute = TimeDelta::minutes(1);
        for (done, left, elapsed, want) in [
            (0, 10, minute, None),
            (10, 0, minute, Some(TimeDelta::zero())),
            (100, 300, minute, Some(TimeDelta::minutes(3))),
            (100, 50, TimeDelta::zero(), None),
            (1, u64::MAX, TimeDelta::days(400), None),
        ] {
            assert_eq!(time_left(done, left, elapsed), want, "{done} {left}");
        }
    }

    proptest! {
        #[test]
        fn no_contact_and_no_address_is_written_twice_in_a_batch(
            rows in proptest::collection::vec((0u8..4, 0i64..6, any::<bool>()), 0..40),
        ) {
            let plans: Vec<(ContactPlan, Email)> = rows
                .iter()
                .map(|(kind, n, first)| {
                    let decision = match kind {
                        0 => Decision::Create,
                        1 => Decision::Adopt(id(*n)),
                        2 => Decision::Nothing(id(*n)),
                        _ => Decision::Skip(SkipReason::NoEmail.into()),
                    };
                    let plan = ContactPlan { contact_first: *first && *kind == 0, ..plan(decision) };
                    (plan, Email::parse(&format!("p{n}@acme.com")).unwrap())
                })
                .collect();
            let batch: Vec<Candidate<'_>> = plans
                .iter()
                .map(|(plan, address)| Candidate { plan, address: Some(address) })
                .collect();
            let lanes = lanes(&batch);
            prop_assert_eq!(lanes.len(), batch.len());
            let mut contacts = BTreeSet::new();
            let mut addresses = BTreeSet::new();
            for (candidate, lane) in batch.iter().zip(&lanes) {
                match lane {
                    Lane::Update(c) | Lane::Keep(c) => prop_assert!(contacts.insert(*c)),
                    Lane::Create => {
                        prop_assert!(addresses.insert(candidate.address.unwrap().as_str()));
                    }
                    Lane::Skip(_) => {
                        prop_assert!(matches!(candidate.plan.decision, Decision::Skip(_)));
                    }
                    Lane::Alone(_) => {}
                }
            }
        }
    }
}
